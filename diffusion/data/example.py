"""One training example on the CPU: audio of the stage's target and condition, its texts, and everything drawn for it.

All that is random comes from a generator seeded by (run seed, position), in one fixed order: an example is the same
whichever thread, rank or resumed run makes it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from diffusion.data.text_batch import ClipTexts
from diffusion.model.config import StageConfig
from pipeline.errors import BadInput, CrateMismatch
from pipeline.ids import hash_u64

__all__ = ["GRID_HZ", "MARGIN_FRAMES", "Example", "Requirement", "audio_needed", "make_example"]

GRID_HZ = 100
"""Crops begin on frames of 10 ms, which every rate and the mel share."""
MARGIN_FRAMES = 10
"""Read on each side of a crop and taken off after filtering: neither FFT upsampling nor the mel sees a false edge."""


@dataclass(frozen=True)
class Requirement:
    """Which audio a stage reads from the crate."""

    target_hz: int
    """The crate's rate from which the target is made."""
    condition_hz: int | None
    """The crate's rate from which the waveform condition is made."""

    @property
    def rates_hz(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(rate for rate in (self.target_hz, self.condition_hz) if rate))


def audio_needed(config: StageConfig) -> Requirement:
    """24 kHz audio for super-resolution, 16 kHz for all else (PAPER 3.6); lower rates are made from 16 kHz."""
    target = 24_000 if config.target_rate_hz > 16_000 else 16_000
    return Requirement(target, 16_000 if config.condition_rate_hz else None)


@dataclass(frozen=True)
class Example:
    """Arrays are float32; waveforms carry the margin on both sides."""

    clip_id: str
    texts: ClipTexts
    text_uniform: float
    """Chooses the element of the text batch."""
    keep_text: bool
    t: float
    target: NDArray[np.float32]
    """Waveform at the target's rate, (T,), or (2, T) of a stage that makes stereo."""
    condition: NDArray[np.float32] | None
    """Waveform at the condition's rate."""
    noise: NDArray[np.float32]
    """(channels, length) of the model's sample."""
    augmentation_t: float
    augmentation_noise: NDArray[np.float32] | None
    """(channels, length) of the condition as the model gets it."""
    blur_std: float


def make_example(
    config: StageConfig,
    flac: dict[int, bytes],
    clip_id: str,
    texts: ClipTexts,
    *,
    clip_s: float,
    seed: int,
    position: int,
    text_drop: float,
) -> Example:
    """`flac` has the rates of `audio_needed`."""
    random = np.random.Generator(np.random.Philox(hash_u64("example", seed, position)))
    text_uniform, keep, t, place, level, width = random.random(6)
    free = round((clip_s - config.train_s) * GRID_HZ)
    if free < 0:
        raise CrateMismatch(
            f"clip {clip_id} is {clip_s:g} s long, {config.stage} trains on {config.train_s:g} s; "
            "use a crate of longer clips"
        )
    start = int(place * (free + 1))
    needed = audio_needed(config)
    target = _read(
        flac[needed.target_hz], needed.target_hz, config.target_rate_hz, start, config.train_s, clip_id,
        stereo=config.stereo,
    )  # fmt: skip
    condition = None
    if needed.condition_hz and config.condition_rate_hz:
        rate = config.condition_rate_hz
        condition = _read(flac[needed.condition_hz], needed.condition_hz, rate, start, config.train_s, clip_id)
    unet, length = config.unet, config.length(config.train_s)
    noise = random.standard_normal((unet.signal_channels, length), dtype=np.float32)
    channels = unet.stacked_channels or unet.aligned_channels
    augmentation = None
    if config.augment_t_max is not None and channels:
        frames = length // unet.compression if unet.aligned_channels else length
        augmentation = random.standard_normal((channels, frames), dtype=np.float32)
    blur = config.blur
    return Example(
        clip_id=clip_id,
        texts=texts,
        text_uniform=float(text_uniform),
        keep_text=bool(keep >= text_drop),
        t=float(t),
        target=target,
        condition=condition,
        noise=noise,
        augmentation_t=float(level * config.augment_t_max) if config.augment_t_max is not None else 0.0,
        augmentation_noise=augmentation,
        blur_std=float(blur.std_min + width * (blur.std_max - blur.std_min)) if blur else 0.0,
    )


def _read(
    flac: bytes, rate_hz: int, wanted_hz: int, start: int, seconds: float, clip_id: str, *, stereo: bool = False
) -> NDArray[np.float32]:
    """The crop and its margins at `wanted_hz`, (T,) or (2, T); where the clip ends sooner, silence."""
    per_frame = rate_hz // GRID_HZ
    first = (start - MARGIN_FRAMES) * per_frame
    count = round(seconds * rate_hz) + 2 * MARGIN_FRAMES * per_frame
    try:
        with soundfile.SoundFile(io.BytesIO(flac)) as file:
            if file.samplerate != rate_hz:
                raise CrateMismatch(f"clip {clip_id} is at {file.samplerate} Hz, its column says {rate_hz} Hz")
            file.seek(max(first, 0))
            channels = file.channels
            audio = file.read(
                min(count + min(first, 0), file.frames - max(first, 0)), dtype="float32", always_2d=channels > 1
            )
    except soundfile.LibsndfileError as error:
        raise BadInput(f"the audio of clip {clip_id} cannot be decoded ({error}); run `cratedig verify`") from error
    before = max(-first, 0)
    if channels > 1 and not stereo:
        audio = audio.mean(axis=1)
    padded = np.pad(audio, [(before, count - before - len(audio)), *[(0, 0)] * (audio.ndim - 1)])
    if wanted_hz == rate_hz:
        return np.ascontiguousarray(padded.T)
    low = soxr.resample(padded, rate_hz, wanted_hz, quality="HQ").astype(np.float32)
    assert len(low) * rate_hz == count * wanted_hz, "crops lie on a grid that every rate shares"
    return low
