"""The five models of the paper: Tables 2, 3 and 9."""

from __future__ import annotations

from diffusion.model.config import STAGES, BlurConfig, MelConfig, SamplingConfig, StageConfig, StageName
from diffusion.model.unet_config import UNetConfig
from pipeline.errors import BadInput

__all__ = ["PAPER_PARAMETERS_M", "paper_stage"]

PAPER_PARAMETERS_M: dict[StageName, float] = {
    "waveform-generator": 724,
    "waveform-cascader": 487,
    "spectrogram-generator": 745,
    "spectrogram-vocoder": 25.7,
    "super-resolution": 81,
}
"""Table 2, in millions."""

_T5_XXL_WIDTH = 4096
_NONE4, _NONE5 = (False,) * 4, (False,) * 5


def paper_stage(stage: StageName, *, text_width: int = _T5_XXL_WIDTH) -> StageConfig:
    """The paper's configuration of one stage."""
    if stage not in STAGES:
        raise BadInput(f"no stage {stage!r}; there are: {', '.join(STAGES)}")
    return _STAGES[stage](text_width)


def _waveform_generator(text_width: int) -> StageConfig:
    deep = (False, False, False, True, True, True)
    return StageConfig(
        stage="waveform-generator",
        unet=UNetConfig(
            signal_channels=1,
            text_width=text_width,
            base=256,
            kernel=7,
            strides=(4, 4, 4, 4, 4, 4),
            multipliers=(1, 1, 2, 3, 4, 4),
            blocks=(3, 3, 3, 4, 4, 4),
            self_attention=deep,
            cross_attention=deep,
        ),
        noise="cosine",
        token_limit=64,
        target_rate_hz=3_200,
        sampling=SamplingConfig(schedule="front_heavy", guidance=10.0),
    )


def _waveform_cascader(text_width: int) -> StageConfig:
    return StageConfig(
        stage="waveform-cascader",
        unet=UNetConfig(
            signal_channels=1,
            stacked_channels=1,
            text_width=text_width,
            base=256,
            kernel=7,
            strides=(4, 4, 4, 4, 4),
            multipliers=(1, 1, 2, 3, 4),
            blocks=(3, 3, 4, 6, 6),
            self_attention=_NONE5,
            cross_attention=(False, False, False, True, True),
            augmentation_embedding=True,
        ),
        noise="linear",
        token_limit=64,
        target_rate_hz=16_000,
        condition_rate_hz=3_200,
        crop_s=3.2,
        augment_t_max=0.5,
        blur=BlurConfig(dimensions=1, taps=10, std_min=0.1, std_max=5.0),
        sampling=SamplingConfig(schedule="front_heavy", gamma=1.0, guidance=5.0),
    )


def _spectrogram_generator(text_width: int) -> StageConfig:
    deep = (False, False, False, True, True)
    return StageConfig(
        stage="spectrogram-generator",
        unet=UNetConfig(
            signal_channels=80,
            text_width=text_width,
            base=256,
            kernel=9,
            strides=(4, 3, 2, 2, 2),
            multipliers=(1, 2, 2, 3, 4),
            blocks=(6, 6, 6, 6, 6),
            self_attention=deep,
            cross_attention=deep,
        ),
        noise="linear",
        loss_weight="sigma2",
        token_limit=96,
        target_rate_hz=16_000,
        mel=MelConfig(),
        sampling=SamplingConfig(schedule="back_heavy_eval", guidance=5.0),
    )


def _spectrogram_vocoder(text_width: int) -> StageConfig:
    return StageConfig(
        stage="spectrogram-vocoder",
        unet=UNetConfig(
            signal_channels=1,
            aligned_channels=80,
            base=128,
            kernel=5,
            strides=(2, 4, 4, 5),
            multipliers=(1, 1, 2, 4),
            blocks=(4, 4, 4, 4),
            self_attention=_NONE4,
            cross_attention=_NONE4,
            augmentation_embedding=True,
        ),
        noise="linear",
        target_rate_hz=16_000,
        mel=MelConfig(),
        crop_s=3.2,
        augment_t_max=1.0,
        blur=BlurConfig(dimensions=2, taps=5, std_min=0.2, std_max=1.0),
        sampling=SamplingConfig(schedule="front_heavy"),
    )


def _super_resolution(text_width: int) -> StageConfig:
    return StageConfig(
        stage="super-resolution",
        unet=UNetConfig(
            signal_channels=1,
            stacked_channels=1,
            base=256,
            kernel=7,
            strides=(4, 4, 4, 4),
            multipliers=(1, 1, 2, 2),
            blocks=(4, 4, 4, 4),
            self_attention=_NONE4,
            cross_attention=_NONE4,
            augmentation_embedding=True,
        ),
        noise="linear",
        target_rate_hz=24_000,
        condition_rate_hz=16_000,
        crop_s=3.2,
        augment_t_max=1.0,
        sampling=SamplingConfig(schedule="front_heavy"),
    )


_STAGES = {
    "waveform-generator": _waveform_generator,
    "waveform-cascader": _waveform_cascader,
    "spectrogram-generator": _spectrogram_generator,
    "spectrogram-vocoder": _spectrogram_vocoder,
    "super-resolution": _super_resolution,
}
