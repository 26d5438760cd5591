"""What a cascade makes of prompts, as it is judged: 16 kHz, without super-resolution, the middle of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.evaluation.prompt_sets import Prompt
from diffusion.generation.cascade import CASCADES, Cascade, CascadeName, check_fit
from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import read_checkpoint
from diffusion.model.config import SamplingConfig, StageName
from pipeline.audio.flac import encode_flac
from pipeline.crate.shards import write_marker
from pipeline.errors import BadInput
from pipeline.ids import content_hash
from pipeline.records import ShardReport
from pipeline.storage import HashingFile, Storage

__all__ = ["JUDGED", "checkpoint_of", "generate_shard", "load_judged", "prompt_file", "shard_hash"]

JUDGED: dict[CascadeName, tuple[StageName, StageName]] = {name: stages[:2] for name, stages in CASCADES.items()}
"""Stages that are run for an evaluation: the paper leaves super-resolution out (4.3.1)."""


def checkpoint_of(run: Path, stage: StageName) -> Path:
    """The latest checkpoint of a stage of a run, or the stage of an export. Raises BadInput where there is none."""
    if not (run / stage).is_dir():
        raise BadInput(f"{run} has no checkpoint of {stage}; train it: cratedig train {stage} --out {run}")
    return read_checkpoint(run / stage).folder


def load_judged(
    name: CascadeName, folders: Mapping[StageName, Path], *, device: str = "cpu", text_encoder: str | None = None
) -> Cascade:
    """The cascade up to 16 kHz."""
    stages = [StageModel.load(folders[stage], device) for stage in JUDGED[name]]
    check_fit(stages)
    encoder = load_text_encoder(text_encoder or stages[0].encoder_source, device=device)
    for model in stages:
        if model.text_encoder is not None:
            encoder.card.refuse_other(model.text_encoder, str(model.folder))
    return Cascade(tuple(stages), TextSource(encoder, stages[0].config.token_limit))


def prompt_file(number: int) -> str:
    """Name of what is generated for the set's prompt of that number."""
    return f"{number:06d}.flac"


def shard_hash(prompts: Sequence[Prompt], settings: Mapping[str, Any]) -> str:
    """Of everything that determines a shard's audio."""
    return content_hash([[[prompt.id, prompt.text] for prompt in prompts], dict(settings)])


def generate_shard(
    cascade: Cascade,
    prompts: Sequence[tuple[int, Prompt]],
    storage: Storage,
    at: tuple[str, int, int],
    *,
    run_hash: str,
    seed: int,
    seconds: float,
    middle_s: float,
    sampling: Mapping[StageName, SamplingConfig],
    batch: int,
    beat: Callable[[Mapping[str, int]], None] = lambda counts: None,
) -> ShardReport:
    """A FLAC a prompt, (number in the set, prompt) each, and the marker with the seconds that it took."""
    folder, shard, _ = at
    began, cpu = time.monotonic(), time.process_time()
    files: dict[str, HashingFile] = {}
    beat({"clips": 0})
    made = cascade.generate(
        [prompt.text for _, prompt in prompts],
        [prompt.seed(seed) for _, prompt in prompts],
        seconds=seconds,
        sampling=sampling,
        batch=batch,
        on_step=lambda stage, clips: beat({"clips": len(files)}),
    )
    for (number, _), result in zip(prompts, made, strict=True):
        audio_T = np.nan_to_num(result.stages[cascade.stages[-1].config.stage]).reshape(-1)
        kept = min(len(audio_T), round(middle_s * cascade.sample_rate_hz))
        start = (len(audio_T) - kept) // 2
        name = f"{folder}/{prompt_file(number)}"
        with storage.write(name) as file:
            file.write(encode_flac(np.clip(audio_T[start : start + kept], -1, 1), cascade.sample_rate_hz))
        files[name] = file
    report = ShardReport(
        shard=shard,
        rows=len(prompts),
        seconds=round(time.monotonic() - began, 3),
        counts={"clips": len(prompts), "cpu_ms": round(1000 * (time.process_time() - cpu))},
    )
    write_marker(storage, *at, report, run_hash=run_hash, files=files)
    return report
