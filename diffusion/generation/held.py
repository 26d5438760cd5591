"""Audio that a generated clip holds on to: what of it stands, or from what it begins.

Where a stage knows its target, its clean estimate is replaced by it at each step, before the solver goes on: the rest
is denoised beside the true sound with the right noise on it (the replacement method of arXiv 2011.13456, appendix I).
What is new sees what stands through that noise only and follows it too little: of a Gaussian pair with correlation .9
its mean goes .6 of the way with ancestral steps, .4 with a solver of the ODE, where the posterior goes .9. Steps taken
more than once (`SamplingConfig.walks`) mend it: five reach .85, ten .87 (tests/diffusion/generation/test_held.py).

B batch, C channels, T time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.model.config import StageConfig
from diffusion.process.mel import log_mel
from pipeline.audio.decode_guard import GuardedDecoder, resample_channels
from pipeline.config import ClipsConfig
from pipeline.errors import BadInput, DecodeFailure

__all__ = ["Held", "read_audio"]

RATE_HZ = 24_000
_EDGE_S = 0.01
"""So much before the end of what stands the lower stages are free: a resampled edge rings there."""
_FADE_S = 0.005
"""Over which, inside of what stands, sound passes to what is new."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """The same for all clips of a request."""

    audio_T: NDArray[np.float32]
    """Mono at 24 kHz; behind its end is silence."""
    stereo_TC: NDArray[np.float32] | None = None
    """The same left and right, for a stage that makes both; without it both are the mono."""
    keep_s: tuple[tuple[float, float], ...] = ()
    """Ranges of seconds that stand."""
    strength: float = 1.0
    """The time of the diffusion from which the generator begins: 1 is noise alone, near 0 the audio itself."""

    def target(self, config: StageConfig, seconds: float) -> Tensor:
        """(1, C, T): the audio as the stage would make it."""
        samples = round(seconds * RATE_HZ)
        audio_TC = self.audio_T[:, None]
        if config.stereo:
            audio_TC = np.repeat(audio_TC, 2, axis=1) if self.stereo_TC is None else self.stereo_TC
        audio_TC = np.pad(audio_TC, ((0, max(0, samples - len(audio_TC))), (0, 0)))[:samples]
        low_CT = torch.from_numpy(resample_channels(audio_TC, RATE_HZ, config.target_rate_hz).T.copy())
        return log_mel(low_CT, config.mel) if config.makes_mel and config.mel else low_CT[None]

    def mask(self, config: StageConfig, seconds: float) -> Tensor:
        """(T,), true where the stage's target stands: whole windows of a mel, and samples clear of resampled edges."""
        length = config.length(seconds)
        rate = length / seconds
        edge_s = 0.0 if config.target_rate_hz >= RATE_HZ else _EDGE_S
        if config.makes_mel and config.mel:
            edge_s = max(edge_s, config.mel.window / 2 / config.mel.sample_rate_hz)
        mask_T = torch.zeros(length, dtype=torch.bool)
        for start_s, end_s in self.keep_s:
            first = 0 if start_s <= 0 else math.ceil((start_s + edge_s) * rate)
            last = length if end_s >= seconds else math.floor((end_s - edge_s) * rate)
            mask_T[first : max(first, last)] = True
        return mask_T

    def join(self, made_BCT: Tensor, config: StageConfig, seconds: float) -> Tensor:
        """What stands put in place of what was made there, which differs by rounding; faded at its inner ends."""
        mask_T = self.mask(config, seconds).float()
        if not config.makes_mel:
            width = max(1, round(_FADE_S * config.target_rate_hz))
            fade = torch.arange(1, width + 1) / (width + 1)
            edges = torch.diff(mask_T)
            for end in torch.nonzero(edges < 0).flatten().tolist():  # the last sample that stands
                part = mask_T[max(0, end + 1 - width) : end + 1]
                part *= fade.flip(0)[-len(part) :]
            for start in (torch.nonzero(edges > 0).flatten() + 1).tolist():
                part = mask_T[start : start + width]
                part *= fade[: len(part)]
        mask_T = mask_T.to(made_BCT.device)
        return mask_T * self.target(config, seconds).to(made_BCT.device) + (1 - mask_T) * made_BCT

    def about(self) -> dict[str, Any]:
        """For the settings of a result."""
        digest = hashlib.sha256(self.audio_T.tobytes()).hexdigest()
        return {"audio_sha256": digest, "keep_s": [list(span) for span in self.keep_s], "strength": self.strength}

    @classmethod
    def continued(cls, audio_T: NDArray[np.float32], seconds: float) -> Held:
        """All of the audio stands, and what is behind it is new."""
        has_s = len(audio_T) / RATE_HZ
        if has_s >= seconds:
            raise BadInput(
                f"the audio has {has_s:.2f} s, and {seconds:g} s are asked for: nothing is left to make; ask for more: "
                f"--seconds {math.ceil(has_s) + 10}"
            )
        return cls(audio_T=audio_T, keep_s=((0.0, has_s),))

    @classmethod
    def redrawn(cls, audio_T: NDArray[np.float32], spans_s: Sequence[tuple[float, float]], seconds: float) -> Held:
        """All but these seconds stands."""
        has_s = min(len(audio_T) / RATE_HZ, seconds)
        keep, at = [], 0.0
        for start_s, end_s in sorted(spans_s):
            if not (at <= start_s < end_s <= seconds + 1e-9) or start_s > has_s:
                raise BadInput(
                    f"{start_s:g}-{end_s:g} s cannot be redrawn: expected ranges that do not overlap, within the "
                    f"{has_s:g} s of the audio"
                )
            keep += [(at, start_s)] if start_s > at else []
            at = end_s
        return cls(audio_T=audio_T, keep_s=(*keep, *([(at, has_s)] if at < has_s else [])))

    @classmethod
    def varied(cls, audio_T: NDArray[np.float32], strength: float) -> Held:
        """The whole clip is new, and begins from the audio with noise of time `strength` on it."""
        if not 0 < strength <= 1:
            raise BadInput(f"strength {strength:g}: expected above 0 (the audio itself) and at most 1 (noise alone)")
        return cls(audio_T=audio_T, strength=strength)


def read_audio(path: Path, *, stereo: bool = False) -> NDArray[np.float32]:
    """Mono (T,) at 24 kHz, or left and right (T, 2), of any file that `cratedig mine` would decode;
    other rates are resampled (soxr HQ)."""
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give a piece of audio")
    try:
        with GuardedDecoder(ClipsConfig(), (RATE_HZ,)) as decoder:
            _, excerpts = decoder.excerpts(str(path), [(0.0, 0.0)], channels=1 + stereo, rate_hz=RATE_HZ)
            (audio_TC,) = excerpts
    except DecodeFailure as failure:
        raise BadInput(f"{path} cannot be used ({failure}); give a whole file of audio") from failure
    return audio_TC if stereo else np.ascontiguousarray(audio_TC[:, 0])
