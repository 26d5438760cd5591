"""Results on disk: wav files that carry how they were made."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from diffusion.generation.cascade import Cascade, Generated
from diffusion.model.config import SamplingConfig, StageName
from pipeline.errors import BadInput, RunFailed

__all__ = ["mono_mix", "read_settings", "settings_of", "write_results", "write_wav"]


def mono_mix(audio: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T,) of what a stage made, (T,) or (C, T)."""
    return audio if audio.ndim == 1 else audio.mean(axis=0)


def write_wav(path: Path, audio: NDArray[np.float32], sample_rate_hz: int, settings: Mapping[str, Any]) -> None:
    """16 bits, of (T,) or (C, T); `settings` as JSON in the comment. Audio above full scale is clipped; they say so."""
    clipped = int(np.count_nonzero(np.abs(audio) > 1))
    about = {**settings, **({"clipped_samples": clipped} if clipped else {})}
    temporary = path.with_name(f".tmp-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        channels = 1 if audio.ndim == 1 else len(audio)
        with soundfile.SoundFile(temporary, "w", sample_rate_hz, channels, subtype="PCM_16", format="WAV") as file:
            file.software = "cratedig"
            file.comment = json.dumps(about, sort_keys=True)
            file.write(np.clip(audio.T, -1, 1))
        temporary.replace(path)
    except (OSError, soundfile.LibsndfileError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunFailed(f"{path} cannot be written ({error}); free some space or give another -o") from error


def read_settings(path: Path) -> dict[str, Any]:
    """How a generated wav was made."""
    with soundfile.SoundFile(path) as file:
        comment = file.comment
    try:
        found: dict[str, Any] = json.loads(comment)
    except ValueError:
        raise BadInput(f"{path} carries no settings; it was not written by cratedig, or was edited") from None
    return found


def write_results(
    made: Iterable[Generated],
    cascade: Cascade,
    sampling: Mapping[StageName, SamplingConfig],
    out: Path,
    *,
    keep_stages: bool,
    more: Mapping[str, Any] | None = None,
) -> list[Path]:
    """One wav a prompt, written as soon as it is there. `out` is a .wav, or a folder of numbered ones.

    `more` joins the settings that each carries.
    """
    paths = []
    for number, result in enumerate(made):
        path = out if out.suffix == ".wav" else out / f"{number:03d}-{_slug(result.prompt)}.wav"
        settings = settings_of(result, cascade, sampling, more or {})
        write_wav(path, result.stages[cascade.stages[-1].config.stage], cascade.sample_rate_hz, settings)
        paths.append(path)
        if keep_stages:
            for stage in cascade.stages[:-1]:
                paths.append(_write_stage(path, stage.config, result.stages[stage.config.stage], settings))
    return paths


def settings_of(
    result: Generated, cascade: Cascade, sampling: Mapping[StageName, SamplingConfig], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that it takes to make a result again, but the weights; of `more`, what is not empty."""
    return {
        "prompt": result.prompt,
        "seed": result.seed,
        "stages": {stage.config.stage: _about(stage, sampling[stage.config.stage]) for stage in cascade.stages},
        "text_encoder": cascade.text.encoder.card.as_dict(),
        **{name: value for name, value in more.items() if value},
    }


def _write_stage(path: Path, config: Any, value: NDArray[np.float32], settings: Mapping[str, Any]) -> Path:
    """A lower stage's waveform as wav; its mel as a picture's worth of numbers (.npy, channels x frames)."""
    if config.makes_mel:
        target = path.with_name(f"{path.stem}-{config.stage}.npy")
        np.save(target, value, allow_pickle=False)
        return target
    target = path.with_name(f"{path.stem}-{config.stage}.wav")
    write_wav(target, value, config.target_rate_hz, settings)
    return target


def _about(stage: Any, sampling: SamplingConfig) -> dict[str, Any]:
    return {"checkpoint_step": stage.step, "noise": stage.config.noise, **sampling.model_dump(mode="json")}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "clip"
