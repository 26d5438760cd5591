"""What a stage is and how it is trained: everything a checkpoint must carry to be used or continued."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from diffusion.model.distill_config import DistillConfig, Predicts
from diffusion.model.unet_config import UNetConfig
from pipeline.errors import BadInput

__all__ = [
    "STAGES",
    "STEREO_STAGE",
    "BlurConfig",
    "DistillConfig",
    "MelConfig",
    "Predicts",
    "SamplingConfig",
    "SolverName",
    "StageConfig",
    "StageName",
    "TrainConfig",
]

StageName = Literal[
    "waveform-generator", "waveform-cascader", "spectrogram-generator", "spectrogram-vocoder", "super-resolution"
]
STAGES: tuple[StageName, ...] = (
    "waveform-generator",
    "waveform-cascader",
    "spectrogram-generator",
    "spectrogram-vocoder",
    "super-resolution",
)

STEREO_STAGE: StageName = "super-resolution"
"""The one that may make two channels: both cascades end with it. The paper's are mono."""

SolverName = Literal["ancestral", "ddim", "dpm++2m", "heun", "unipc"]
"""How a sampler goes from noise to sound: the paper's ancestral steps, or a solver of the probability-flow ODE."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MelConfig(_Frozen):
    """The log-mel spectrogram: 80 channels at 100 frames a second come from the paper, the rest is our choice."""

    sample_rate_hz: int = 16_000
    fft: int = 1024
    window: int = 1024
    """Hann, in samples; the spectrum is divided by its sum, so that a full-scale sine peaks at -6 dB."""
    hop: int = 160
    channels: int = 80
    low_hz: float = 0.0
    high_hz: float = 8_000.0
    floor_db: float = -90.0
    """Power below it counts as it; becomes -1."""
    ceiling_db: float = 0.0
    """Becomes +1; above it is clipped."""

    @property
    def frames_per_s(self) -> int:
        return self.sample_rate_hz // self.hop


class BlurConfig(_Frozen):
    """Gaussian blur of the condition with a random width (PAPER 4.1)."""

    dimensions: Literal[1, 2]
    """1 along time; 2 along time and mel channels."""
    taps: int = Field(ge=1)
    """An even number is padded with one more sample before than after (erratum 8)."""
    std_min: float = Field(gt=0)
    std_max: float = Field(gt=0)


class SamplingConfig(_Frozen):
    """The paper's Table 3, and its Table 8 by name."""

    solver: SolverName = "ancestral"
    """The paper's own, or one that needs a tenth of its steps; see docs/training.md."""
    schedule: str | tuple[float, ...] = "front_heavy"
    """A name from `diffusion.process.steps`, or the step sizes themselves, from t = 0 up."""
    steps: int | None = Field(default=None, ge=1)
    """None for as many as the schedule has; else the same curve with so many steps."""
    gamma: float = Field(default=0.0, ge=0, le=1)
    walks: int = Field(default=1, ge=1)
    """How often each ancestral step is taken, so that what is new follows what stands (RePaint). Not in the paper."""
    guidance: float = Field(default=1.0, ge=0)
    """The scale w of classifier-free guidance; 1 is none."""
    guided_from: float = Field(default=0.0, ge=0, le=1)
    guided_to: float = Field(default=1.0, ge=0, le=1)
    """The times between which guidance leads; elsewhere the scale is 1 (arXiv 2404.07724). The paper: everywhere."""
    clip: Literal["dynamic", "static", "none"] = "dynamic"
    clip_percentile: float = Field(default=0.995, gt=0, le=1)
    """Of |x| in the clean estimate; the paper names dynamic clipping but not its percentile: this is Imagen's."""
    mel_fits: int = Field(default=0, ge=0)
    """How often a vocoder's result is corrected, band by band, to the mel that it was given. Not in the paper."""
    begins_at: float = Field(default=1.0, gt=0, le=1)
    """The time of the diffusion from which a vocoder begins, at what its mel gives without a model
    (`diffusion.process.invert`) with the noise of that time on it; 1 is noise alone. Not in the paper."""
    augmentation_t: float = Field(default=0.0, ge=0, le=1)
    """Noise put on the condition while sampling, as a time of the noise schedule (erratum 9)."""


class StageConfig(_Frozen):
    """One of the five models: what it makes, from what, with which network and schedules."""

    stage: StageName
    unet: UNetConfig
    noise: Literal["cosine", "linear", "linear_as_printed"]
    predicts: Predicts = "noise"
    """What the network gives. `noise` is the paper's; near t = 1 a small error in it is a large one in the clean
    estimate. `velocity` is alpha x noise - sigma x clean, whose error never grows on the way to the estimate. `clean`
    is the sample: a network hardly wider than its signal need not carry the noise through (arXiv 2511.13720)."""
    loss_weight: Literal["simple", "sigma2"] = "simple"
    token_limit: int = Field(default=0, ge=0)
    """Text tokens the model sees; 0 for a model without text."""
    target_rate_hz: int
    """Of the waveform it makes; for the spectrogram generator, of the waveform its mel describes."""
    condition_rate_hz: int | None = None
    """Of the waveform it refines; None for a generator and for the vocoder."""
    mel: MelConfig | None = None
    """Of the spectrogram generator's target and the vocoder's condition; the two must be equal."""
    clip_s: float = Field(default=30.0, gt=0)
    """What is generated."""
    crop_s: float | None = Field(default=None, gt=0)
    """What is trained on; None for whole clips."""
    diffuses: Literal["target", "residual", "whitened"] = "target"
    """What noise is added to. `target` is the paper's. `residual`: what the target has beyond the upsampled waveform
    that it refines. `whitened`: the waveform divided by the envelope that its mel describes (vocoder). See
    `diffusion.process.diffused`."""
    level_band_hz: tuple[float, float] | None = None
    """A residual is divided by the condition's loudness in this band, sample by sample: clips whose treble differs by
    60 dB become alike. None to leave it as it is."""
    signal_gain: float = Field(default=1.0, gt=0)
    """What is diffused is multiplied by it before noise is added: 1 in the paper's models."""
    signal_peak: float = Field(default=1.0, gt=0)
    """What is diffused lies within plus and minus this before its gain, but for rare samples: where clipping begins."""
    condition_gain: float = Field(default=1.0, gt=0)
    """The waveform condition is multiplied by it before the network sees it: 1 in the paper's models."""
    augment_t_max: float | None = Field(default=None, ge=0, le=1)
    blur: BlurConfig | None = None
    sampling: SamplingConfig = SamplingConfig()

    @model_validator(mode="after")
    def _consistent(self) -> StageConfig:
        if bool(self.token_limit) != bool(self.unet.text_width):
            raise ValueError(f"token_limit {self.token_limit} and text_width {self.unet.text_width}: both or neither")
        if self.stage.startswith("spectrogram") != (self.mel is not None):
            raise ValueError(f"{self.stage} needs mel settings exactly when it is a spectrogram stage")
        if self.unet.signal_channels not in self._signal_channels:
            raise ValueError(f"{self.stage} cannot have {self.unet.signal_channels} signal channels")
        if self.mel is not None and self.mel.sample_rate_hz != self.target_rate_hz:
            raise ValueError(f"mel at {self.mel.sample_rate_hz} Hz, target at {self.target_rate_hz} Hz")
        if self.uses_mel and self.mel is not None:
            if self.unet.compression != self.mel.hop:
                raise ValueError(f"the vocoder compresses by {self.unet.compression}, its mel by {self.mel.hop}")
            if self.unet.aligned_channels != self.mel.channels:
                raise ValueError(f"{self.unet.aligned_channels} aligned channels for a mel of {self.mel.channels}")
        if self.diffuses == "residual" and not self.condition_rate_hz:
            raise ValueError(f"{self.stage} refines no waveform, so it has no residual to diffuse")
        if self.level_band_hz and self.diffuses != "residual":
            raise ValueError(f"level_band_hz is for a residual; {self.stage} diffuses its {self.diffuses}")
        if self.diffuses == "whitened" and not self.uses_mel:
            raise ValueError(f"{self.stage} is given no mel to whiten by")
        if self.sampling.begins_at < 1 and not self.uses_mel:
            raise ValueError(f"sampling.begins_at {self.sampling.begins_at} is for the vocoder; others begin at 1")
        if bool(self.condition_rate_hz) != bool(self.unet.stacked_channels):
            raise ValueError("condition_rate_hz and stacked_channels: both or neither")
        for rate in (self.target_rate_hz, self.condition_rate_hz or self.target_rate_hz):
            if abs(rate * self.train_s - round(rate * self.train_s)) > 1e-6:
                raise ValueError(f"{self.train_s} s at {rate} Hz is not a whole number of samples")
        return self

    @property
    def _signal_channels(self) -> tuple[int, ...]:
        if self.makes_mel:
            return (self.mel.channels,) if self.mel else ()
        return (1, 2) if self.stage == STEREO_STAGE else (1,)

    @property
    def makes_mel(self) -> bool:
        return self.stage == "spectrogram-generator"

    @property
    def stereo(self) -> bool:
        """It makes left and right, of a mono condition."""
        return self.stage == STEREO_STAGE and self.unet.signal_channels == 2

    def in_stereo(self) -> StageConfig:
        """The same stage with left and right. Raises BadInput for one that does not write the final signal."""
        if self.stage != STEREO_STAGE:
            raise BadInput(
                f"{self.stage} works on the mono mix; --stereo is for {STEREO_STAGE}, which writes the final signal"
            )
        return self.model_copy(update={"unet": self.unet.model_copy(update={"signal_channels": 2})})

    @property
    def uses_mel(self) -> bool:
        return self.unet.aligned_channels > 0

    @property
    def uses_text(self) -> bool:
        return self.token_limit > 0

    @property
    def clip_limit(self) -> float:
        """Of the clean estimate while sampling; a mel lies in [-1, 1]."""
        return 1.0 if self.makes_mel else self.signal_gain * self.signal_peak

    @property
    def train_s(self) -> float:
        return self.crop_s or self.clip_s

    def length(self, seconds: float) -> int:
        """Samples, or mel frames, of `seconds` of what the model makes."""
        return round(seconds * (self.mel.frames_per_s if self.makes_mel and self.mel else self.target_rate_hz))

    def with_text_width(self, width: int) -> StageConfig:
        """The same stage for a text encoder of another width."""
        if not self.uses_text or self.unet.text_width == width:
            return self
        return self.model_copy(update={"unet": self.unet.model_copy(update={"text_width": width})})


class TrainConfig(_Frozen):
    """A named run of one stage, complete."""

    run: str
    stage: StageConfig
    text_encoder: str = "bundled"
    """`bundled` for the project's own text tower, or a transformers T5 encoder by name or path."""
    total_steps: int = Field(ge=1)
    global_batch: int = Field(ge=1)
    device_batch: int = Field(ge=1)
    """Samples a device takes at once; the global batch is reached by accumulation."""
    draws: int = Field(default=1, ge=1)
    """How many times and noises a crop is trained with in its step, at even distances of t: it is decoded once. More
    than 1 is not in the paper."""
    peak_lr: float = Field(default=1e-4, gt=0)
    warmup_steps: int = Field(default=10_000, ge=0)
    cosine_steps: int = Field(default=2_500_000, ge=1)
    """Where the cosine would reach 0; the paper stops far before it."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    adam_eps: float = 1e-8
    weight_decay: float = 0.0
    """Not given in the paper."""
    gradient_clip: float = Field(default=1.0, gt=0)
    """Norm; not given in the paper."""
    init_from: str = ""
    """sha256 of the weights that it begins with; empty for an untrained network."""
    lora_rank: int = Field(default=0, ge=0)
    """Only matrices of this rank beside the attention's are trained; 0 for all weights."""
    distill: DistillConfig | None = None
    """The run makes a student of the stage that it begins with."""
    ema_decay: float = Field(default=0.9999, ge=0, lt=1)
    ema_warmup: bool = True
    """Decay min(ema_decay, (1 + n) / (10 + n)) after n updates: for runs much shorter than 1 / (1 - decay)."""
    text_drop: float = Field(default=0.1, ge=0, le=1)
    precision: Literal["fp32", "bf16"] = "bf16"
    compile: bool = False
    gradient_checkpointing: bool = False
    seed: int = 0
    holdout_share: float = Field(default=0.02, ge=0, lt=1)
    """Of the tracks, never trained on; at least two: one for validation and one for test."""
    loss_limit: float = Field(default=1e3, gt=0)
    """A step whose loss is above it, or not a number, stops the run. A predictor of zero noise has loss 1."""
    checkpoint_every: int = Field(default=5_000, ge=1)
    keep_checkpoints: int = Field(default=3, ge=1)
    demo_every: int = Field(default=20_000, ge=0)
    """0 for no demos."""
    demo_clips: int = Field(default=2, ge=1)
    log_every: int = Field(default=50, ge=1)
    window_row_groups: int = Field(default=16, ge=1)
    """Row groups of about 100 clips that are mixed with each other, all ranks together; more ranks than these mix as
    many as they are."""
    loader_threads: int = Field(default=8, ge=1)
    prefetch_batches: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.global_batch % self.device_batch:
            raise ValueError(f"global_batch {self.global_batch} is not a multiple of device_batch {self.device_batch}")
        if self.lora_rank and not self.stage.uses_text:
            raise ValueError(f"LoRA is for stages that read text, and {self.stage.stage} reads none")
        if self.lora_rank and not self.init_from:
            raise ValueError("LoRA changes a trained network; give it: --init-from CHECKPOINT")
        if self.lora_rank and self.distill:
            raise ValueError("a student is trained whole; distill without --lora")
        return self

    def with_changes(self, **changes: Any) -> TrainConfig:
        """A checked copy; `stage` may be replaced whole. Raises BadInput."""
        try:
            return TrainConfig.model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            first = error.errors()[0]
            said = first["msg"].removeprefix("Value error, ")
            raise BadInput(f"{'.'.join(map(str, first['loc'])) or 'settings'}: {said}") from error

    def learning_rate(self, step: int) -> float:
        """At `step` counted from 0: linear warm-up, then a cosine that ends at `cosine_steps`; of a student, in each
        round anew, to the round's end."""
        from math import cos, pi

        if self.distill is not None:
            _, first, end = self.distill.round_at(step, self.total_steps)
            warm = max(1, min(self.warmup_steps, (end - first) // 10))
            return (
                self.peak_lr * min(1, (step - first + 1) / warm) * 0.5 * (1 + cos(pi * (step - first) / (end - first)))
            )
        if step < self.warmup_steps:
            return self.peak_lr * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(self.cosine_steps - self.warmup_steps, 1)
        return self.peak_lr * 0.5 * (1 + cos(pi * min(done, 1.0)))
