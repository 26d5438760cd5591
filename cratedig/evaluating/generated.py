"""The generation job of an evaluation: a set's prompts in shards, through a run's checkpoints, on any engine."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beam_jobs.engine import run_job
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.crate.shards import is_done, read_marker
from pipeline.errors import RunFailed
from pipeline.ids import content_hash
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.storage import Storage

if TYPE_CHECKING:
    from beam_jobs.engine import Engine, OnTick
    from diffusion.evaluation.prompt_sets import Prompt, PromptSet
    from diffusion.generation.cascade import CascadeName
    from diffusion.model.config import SamplingConfig, StageName

__all__ = ["GenerateSetJob", "GenerateSettings", "Generated", "generate_set"]

AUDIO, _PROMPTS = "audio", "prompts.json"
_PROMPTS_PER_SHARD = 8


@dataclass(frozen=True, kw_only=True)
class GenerateSettings:
    """What determines the audio, beside the prompts."""

    cascade: CascadeName
    folders: Mapping[StageName, Path]
    """Checkpoints of the two stages up to 16 kHz."""
    sampling: Mapping[StageName, SamplingConfig]
    seed: int = 0
    seconds: float = 30.0
    middle_s: float = 10.0
    batch: int = 4
    text_encoder: str | None = None

    def identity(self) -> dict[str, Any]:
        """For a hash: checkpoints by their own record of their content, wherever they lie."""
        return {
            "cascade": self.cascade,
            "checkpoints": {
                stage: content_hash(json.loads((folder / "state.json").read_text(encoding="utf-8")))
                for stage, folder in self.folders.items()
            },
            "sampling": {stage: settings.model_dump(mode="json") for stage, settings in self.sampling.items()},
            "seed": self.seed,
            "seconds": self.seconds,
            "middle_s": self.middle_s,
        }


@dataclass(frozen=True, kw_only=True)
class GenerateSetJob:
    """Generate the audio of a set's prompts."""

    root: str
    shard_count: int
    settings: GenerateSettings
    device: str
    hashes: tuple[str, ...] = field(repr=False)
    title: str = "generating"
    folder: str = AUDIO

    def at(self, shard: int) -> tuple[str, int, int]:
        return self.folder, shard, self.shard_count

    def storage(self) -> Storage:
        return Storage(self.root)

    def todo(self) -> list[int]:
        storage = self.storage()
        return [k for k in range(self.shard_count) if not is_done(storage, *self.at(k), self.hashes[k])]

    def open(self) -> _Worker:
        return _Worker(self)


class _Worker:
    def __init__(self, job: GenerateSetJob) -> None:
        from diffusion.evaluation.prompt_sets import Prompt
        from diffusion.evaluation.prompted import load_judged

        self._job = job
        said = read_sealed(job.storage(), _PROMPTS)["prompts"]
        self._prompts = [Prompt(id=prompt["id"], text=prompt["text"]) for prompt in said]
        settings = job.settings
        self._cascade = load_judged(
            settings.cascade, settings.folders, device=job.device, text_encoder=settings.text_encoder
        )

    def run(self, shard: int) -> ShardReport:
        from diffusion.evaluation.prompted import generate_shard

        job, settings = self._job, self._job.settings
        beat = Heartbeat(job.storage(), job.folder, shard)
        report = generate_shard(
            self._cascade, _of(self._prompts, shard), job.storage(), job.at(shard), run_hash=job.hashes[shard],
            seed=settings.seed, seconds=settings.seconds, middle_s=settings.middle_s, sampling=settings.sampling,
            batch=settings.batch, beat=beat,
        )  # fmt: skip
        beat.end()
        return report

    def close(self) -> None:
        pass


def _of(prompts: Any, shard: int) -> list[tuple[int, Prompt]]:
    first = shard * _PROMPTS_PER_SHARD
    return list(enumerate(prompts))[first : first + _PROMPTS_PER_SHARD]


@dataclass(frozen=True, kw_only=True)
class Generated:
    """A set's audio on disk."""

    storage: Storage
    prompts: PromptSet
    seconds_a_clip: float
    """Wall time of generation alone, loading left out."""
    cpu_seconds_a_clip: float

    @property
    def folder(self) -> str:
        return f"{self.storage.url}/{AUDIO}"


def generate_set(
    prompts: PromptSet,
    settings: GenerateSettings,
    root: Storage,
    *,
    device: str,
    engine: Engine,
    watch: Callable[[GenerateSetJob], OnTick] = lambda job: lambda ended: None,
    title: str = "generating",
) -> Generated:
    """In `root`; shards that are there for these very prompts, checkpoints and settings are kept."""
    from diffusion.evaluation.prompted import shard_hash

    shards = -(-len(prompts.prompts) // _PROMPTS_PER_SHARD)
    identity = settings.identity()
    job = GenerateSetJob(
        root=root.url,
        shard_count=shards,
        settings=settings,
        device=device,
        hashes=tuple(shard_hash([p for _, p in _of(prompts.prompts, k)], identity) for k in range(shards)),
        title=title,
    )
    if todo := job.todo():
        if len(todo) == shards:
            root.remove(AUDIO)  # of another set or other settings
        listed = [{"id": prompt.id, "text": prompt.text} for prompt in prompts.prompts]
        write_sealed(root, _PROMPTS, {"prompts": listed, "settings": identity})
        run_job(job, engine, watch(job))
    markers = [read_marker(root, *job.at(shard)) for shard in range(shards)]
    if not all(markers):
        raise RunFailed(f"{root.url} lacks shards of generated audio; run the same command again")
    clips = len(prompts.prompts)
    return Generated(
        storage=root,
        prompts=prompts,
        seconds_a_clip=sum(m["seconds"] for m in markers if m) / clips,
        cpu_seconds_a_clip=sum(m["counts"]["cpu_ms"] for m in markers if m) / 1000 / clips,
    )
