"""Named runs: each a function from a stage to a complete configuration."""

from __future__ import annotations

from collections.abc import Callable

from diffusion.model.config import STAGES, SamplingConfig, StageConfig, StageName, TrainConfig
from diffusion.model.stages import paper_stage
from diffusion.model.unet_config import UNetConfig
from pipeline.errors import BadInput

__all__ = ["RUNS", "gpu24", "gpu80", "named_run", "paper", "small", "tiny"]


def paper(stage: StageName) -> TrainConfig:
    """The paper's own: `cratedig train STAGE --crate CRATE --run paper` on as many devices as you have.

    Batch 2048 (super-resolution 4096), the steps of Table 2, T5-XXL text. Pre-encode the text first
    (`--encode-text`): the encoder alone has 4.8 G parameters.
    """
    steps = {
        "waveform-generator": 1_600_000,
        "waveform-cascader": 460_000,
        "spectrogram-generator": 1_800_000,
        "spectrogram-vocoder": 840_000,
        "super-resolution": 270_000,
    }
    return TrainConfig(
        run="paper",
        stage=paper_stage(stage),
        text_encoder="google/t5-v1_1-xxl",
        total_steps=steps[stage],
        global_batch=4096 if stage == "super-resolution" else 2048,
        device_batch={"spectrogram-generator": 32, "spectrogram-vocoder": 32}.get(stage, 8),
        compile=True,
        # 11 ms of a core for a clip of 30 s, 700 clips a second: measured on a CPU and by operations, not on a GPU.
        loader_threads=16 if stage == "spectrogram-generator" else 8,
    )


def gpu80(stage: StageName) -> TrainConfig:
    """One GPU of 80 GB: the paper's networks with T5-large text (width 1024) and an eighth of its batch.

    `cratedig models --run gpu80` shows the memory: fixed plus device_batch x activations stays below 75 GiB.
    """
    config = paper(stage)
    return config.with_changes(
        run="gpu80",
        stage=paper_stage(stage, text_width=1024),
        text_encoder="google-t5/t5-large",
        global_batch=256,
        total_steps=config.total_steps // 4,
    )


def gpu24(stage: StageName) -> TrainConfig:
    """One GPU of 24 GB: networks of half the width (a quarter of the parameters), T5-base text (width 768)."""
    config = paper(stage)
    full = paper_stage(stage, text_width=768)
    half = full.model_copy(update={"unet": full.unet.model_copy(update={"base": full.unet.base // 2})})
    return config.with_changes(
        run="gpu24",
        stage=half,
        text_encoder="google-t5/t5-base",
        global_batch=128,
        device_batch={"spectrogram-generator": 16, "spectrogram-vocoder": 16}.get(stage, 4),
        total_steps=config.total_steps // 8,
    )


def tiny(stage: StageName) -> TrainConfig:
    """All five stages on two CPU cores within half an hour, from a crate of a few dozen clips.

    `cratedig train all --crate demo/crate --run tiny`; half of it is the spectrogram generator's, which from 3,000
    composed pieces, and in more steps, learned to follow words (docs/training.md has commands and figures). Settings
    were chosen on the validation tracks.
    """
    steps = {"waveform-cascader": 1_200, "spectrogram-generator": 2_000}.get(stage, 600)
    makes_mel = stage == "spectrogram-generator"
    return TrainConfig(
        run="tiny",
        stage=_tiny_stage(stage),
        total_steps=steps,
        global_batch=8 if makes_mel else 4,
        device_batch=8 if makes_mel else 4,
        peak_lr=2e-3,
        warmup_steps=30,
        cosine_steps=steps,
        # A caption tells nine tracks apart: a stage that refines would learn them by heart and miss the music.
        text_drop=0.5 if stage == "waveform-cascader" else 0.1,
        ema_decay=0.997 if makes_mel else 0.99,
        precision="fp32",
        holdout_share=0.37,  # five of the demo's 14 tracks: three for validation, two for test
        checkpoint_every=300,
        keep_checkpoints=2,
        demo_every=0,
        log_every=10,
        loader_threads=2,
    )


def small(stage: StageName) -> TrainConfig:
    """`tiny` where there is a GPU for a quarter of an hour and a crate of thousands of clips: the spectrogram generator
    of the cascade that comes with cratedig.

    Twice the parameters, at the rates where lines and strokes are; crops of bars; each crop with eight times and
    noises, for decoding it costs the loader more than they cost the GPU. The other stages are `tiny`'s, in larger
    batches.
    """
    config = tiny(stage)
    common = {
        "run": "small", "precision": "bf16", "compile": True, "holdout_share": 0.02, "loader_threads": 8,
        "checkpoint_every": 1_000, "log_every": 50, "warmup_steps": 200, "draws": 8,
    }  # fmt: skip
    if stage != "spectrogram-generator":
        return config.with_changes(
            **common, global_batch=16, device_batch=16, total_steps=5_000, cosine_steps=5_000, ema_decay=0.999
        )
    unet = {"base": 192, "multipliers": (1, 1, 1, 1), "blocks": (2, 1, 1, 1)}
    wide = UNetConfig.model_validate({**config.stage.unet.model_dump(), **unet})
    sampling = config.stage.sampling.model_copy(update={"guided_from": 0.2, "guided_to": 0.7})
    return config.with_changes(
        **common,
        stage=config.stage.model_copy(update={"unet": wide, "crop_s": 7.68, "sampling": sampling}),
        global_batch=48,
        device_batch=48,
        peak_lr=1.2e-3,
        total_steps=2_000,
        cosine_steps=2_000,
        ema_decay=0.999,
    )


def _tiny_stage(stage: StageName) -> StageConfig:
    full = paper_stage(stage)
    none, deep = (False,) * 4, (False, False, True, True)
    shapes: dict[StageName, dict[str, object]] = {
        "waveform-generator": {
            "strides": (4, 4, 4, 4),
            "multipliers": (1, 2, 4, 4),
            "blocks": (1, 1, 2, 2),
            "self_attention": deep,
            "cross_attention": deep,
        },
        "waveform-cascader": {
            "strides": (4, 4, 4, 4),
            "multipliers": (1, 2, 3, 4),
            "blocks": (1, 1, 2, 2),
            "self_attention": none,
            "cross_attention": deep,
        },
        "spectrogram-generator": {
            "base": 96,  # fewer than its 80 channels of noise could not even pass through the entry
            "kernel": 3,
            "strides": (2, 2, 2, 2),
            "multipliers": (1, 1, 2, 2),
            "text_pooled": True,
            "blocks": (1, 1, 1, 1),
            "self_attention": deep,
            "cross_attention": deep,
        },
        "spectrogram-vocoder": {"multipliers": (1, 2, 3, 4), "blocks": (1, 1, 2, 2)},
        "super-resolution": {"multipliers": (1, 2, 3, 3), "blocks": (1, 1, 1, 1)},
    }
    # What the paper's models have weeks to learn is given to these: where the condition is right it is kept, what is
    # missing is made as loud as what is there, and the clean estimate is good from the first sampling step.
    refines = {"predicts": "velocity", "noise": "cosine", "signal_peak": 10.0}
    residual = {**refines, "diffuses": "residual", "condition_gain": 8.0}
    signals: dict[StageName, dict[str, object]] = {
        "waveform-generator": {"signal_gain": 4.0},
        "waveform-cascader": {**residual, "level_band_hz": (300, 1_500)},
        "spectrogram-generator": {"predicts": "clean", "noise": "cosine", "loss_weight": "simple"},
        "spectrogram-vocoder": {**refines, "diffuses": "whitened"},
        "super-resolution": {**residual, "level_band_hz": (6_000, 7_600)},
    }
    unet = {**full.unet.model_dump(), "base": 16, "heads": 4, "groups": 8, "kernel": 5, **shapes[stage]}
    if unet["text_width"]:
        unet["text_width"] = 128  # the bundled text tower's
    own: dict[str, object] = {"steps": 100, "guidance": 3.0}
    if stage == "spectrogram-generator":  # noise put back at each step mends what a small network got wrong before
        own = {"schedule": "uniform", "steps": 40, "gamma": 0.3, "guidance": 2.0, "clip": "static"}
    if not stage.endswith("generator"):
        own = {"steps": 20 if stage == "waveform-cascader" else 50, "gamma": 0.0, "guidance": 1.0}
    if full.uses_mel:  # trained for minutes it knows less of phases than a formula
        own |= {"begins_at": 0.1, "steps": 20}
    sampling = {**full.sampling.model_dump(), **own, "mel_fits": 8 if full.uses_mel else 0}
    return StageConfig.model_validate(
        {
            **full.model_dump(),
            "unet": UNetConfig.model_validate(unet),
            "sampling": SamplingConfig.model_validate(sampling),
            "crop_s": {"waveform-generator": 7.68, "spectrogram-generator": 5.12}.get(stage, 0.8),
            **signals.get(stage, {}),
            # The paper's are so strong that most conditions hold little, which a run this short has no time for.
            "augment_t_max": None if full.augment_t_max is None else 0.02,
            "blur": full.blur and {**full.blur.model_dump(), "std_max": 2 * full.blur.std_min},
        }
    )


RUNS: dict[str, Callable[[StageName], TrainConfig]] = {
    "paper": paper,
    "gpu80": gpu80,
    "gpu24": gpu24,
    "small": small,
    "tiny": tiny,
}


def named_run(run: str, stage: str) -> TrainConfig:
    """The configuration of a run and a stage by name."""
    if run not in RUNS:
        raise BadInput(f"no run {run!r}; there are: {', '.join(RUNS)}")
    for known in STAGES:
        if known == stage:
            return RUNS[run](known)
    raise BadInput(f"no stage {stage!r}; there are: {', '.join(STAGES)}")
