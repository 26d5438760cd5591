"""One stage trained from crates: opens the data, takes up what was begun, refuses what does not belong together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusion.data.clip_table import cache_folder
from diffusion.data.crate_data import CrateClips
from diffusion.data.encode_texts import encode_texts, pours_hash
from diffusion.data.example import audio_needed
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.data.sidecar import Sidecar, sidecar_folder
from diffusion.data.text_encoder import TextEncoder, load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.model.checkpoint import Checkpoint, latest_checkpoint, read_checkpoint
from diffusion.model.config import DistillConfig, StageConfig, TrainConfig
from diffusion.training.distill import student_stage
from diffusion.training.trainer import Trainer
from pipeline.crate.crate import Crate
from pipeline.crate.trained import note_training
from pipeline.curation.tables import looked_at, stale_tables
from pipeline.errors import BadInput

__all__ = ["CrateUse", "TrainData", "open_data", "train_stage"]

_MAY_CHANGE = {
    "total_steps", "device_batch", "compile", "gradient_checkpointing", "checkpoint_every", "keep_checkpoints",
    "demo_every", "demo_clips", "log_every", "loader_threads", "prefetch_batches", "loss_limit",
}  # fmt: skip
"""Settings that a resumed run may have otherwise: they move no bit of a step, or only its rounding."""
_HELD_OUT_SEED = 1


@dataclass(frozen=True)
class CrateUse:
    """A crate to train on."""

    path: Path | str
    """A folder, or any fsspec URL."""
    weight: float = 1.0
    labels: str | None = None
    split: str = ""
    """Of the crate's `splits/`, or a file; empty: by the hash of the track."""
    duplicates: bool = False
    """Train on tracks that `cratedig dedup` would not keep."""
    contaminated: bool = False
    """Train on tracks that `cratedig decontaminate` found in an evaluation set."""


@dataclass(frozen=True)
class TrainData:
    """Everything a trainer reads."""

    train: ClipLoader
    held_out: ClipLoader
    text: TextSource | None
    about: list[dict[str, Any]]
    """For the checkpoint: which crates, which labels, which weights."""


def open_data(
    config: TrainConfig,
    crates: Sequence[CrateUse],
    *,
    encoder: TextEncoder | None,
    encode_text: bool = False,
    text_cache: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> TrainData:
    """Crates, their label runs and sidecars, split into train and held out."""
    stage = config.stage
    rates = audio_needed(stage).rates_hz
    train, held, about, sidecars = [], [], [], []
    for use in crates:
        clips = CrateClips(use.path, rates, labels=use.labels, text=stage.uses_text, stereo=stage.stereo)
        split = clips.split(
            config.holdout_share, table=use.split, duplicates=use.duplicates, contaminated=use.contaminated
        )
        for line in stale_tables(clips.crate, looked_at(clips.crate, use.split, use.duplicates, use.contaminated)):
            say(f"warning: {line}")
        for why, count in sorted(split.left_out.items()):
            say(f"{use.path}: {count} tracks are left out ({why})")
        train.append(ClipSource(clips, split.train, use.weight))
        held.append(ClipSource(clips, split.validation, use.weight))
        about.append(
            {
                "crate": clips.crate.clips_hash,
                "labels": clips.labels_hash,
                "clips": split.train.count,
                "split": split.hash,
                "weight": use.weight,
            }
        )
        if encoder is not None and clips.labels is not None:
            limit = min(stage.token_limit, encoder.most_tokens or stage.token_limit)
            folder = sidecar_folder(_text_place(clips, text_cache), clips.labels, encoder.card, limit)
            if encode_text and not _stands(folder, clips, encoder, limit):
                count = encode_texts(folder, clips, encoder, limit, rank=_rank(), ranks=_ranks(), say=say)
                say(f"{count} texts of {use.path} are encoded with {encoder.card.name} in {folder}")
            if (folder / "sidecar.json").is_file():
                sidecars.append(Sidecar(folder, encoder.card, limit))
            elif config.text_encoder != "bundled":
                say(f"{use.path}: texts are encoded while training, slowly; once and for all: --encode-text ({folder})")
    options: dict[str, Any] = {
        "window": config.window_row_groups,
        "threads": config.loader_threads,
        "prefetch": config.prefetch_batches,
        "ranks": _ranks(),
    }
    return TrainData(
        train=ClipLoader(train, stage, seed=config.seed, text_drop=config.text_drop, **options),
        held_out=ClipLoader(held, stage, seed=_HELD_OUT_SEED, text_drop=0.0, **options),
        text=TextSource(encoder, stage.token_limit, sidecars) if encoder is not None else None,
        about=about,
    )


def _text_place(clips: CrateClips, text_cache: Path | None) -> Path:
    """In the crate; of a crate that is not on this machine in the user's cache; or where the user says."""
    if text_cache is not None:
        return text_cache / clips.crate.clips_hash
    if clips.crate.storage.is_local:
        return Path(clips.crate.storage.path("text"))
    return cache_folder() / clips.crate.clips_hash


def _stands(folder: Path, clips: CrateClips, encoder: TextEncoder, limit: int) -> bool:
    """Whether the sidecar is of these labels and pours; one of another encoder is refused, a torn one made again."""
    try:
        found = Sidecar(folder, encoder.card, limit)
        return (found.labels_hash, found.pours_hash) == (clips.labels_hash, pours_hash(clips.crate))
    except BadInput as error:
        if "was made with text encoder" in str(error):
            raise
        return False


def train_stage(
    config: TrainConfig,
    crates: Sequence[CrateUse],
    out: Path,
    *,
    init_from: Path | None = None,
    lora_rank: int = 0,
    distill: DistillConfig | None = None,
    encode_text: bool = False,
    text_cache: Path | None = None,
    cpu: bool = False,
    wandb: bool = False,
    on_checkpoint: Callable[[Trainer], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Trainer | None:
    """Train, or continue, the stage in `out`. None where it was finished before.

    init_from: a checkpoint to begin with: its network, its schedules and its averaged weights. distill: to make a
    student of it, by its guidance.
    """
    if not crates:
        raise BadInput("no crate to train on; give at least one: --crate CRATE")
    source = _source(init_from, config.stage.stage) if init_from else None
    if source is not None:
        if config.stage.stereo and not source.config.stage.stereo:
            raise BadInput(f"{source.folder} makes mono; train a stereo one from the beginning, or leave --stereo away")
        init = source.state["sha256"][source.averaged_file]
        begun: dict[str, Any] = {"stage": source.config.stage, "init_from": init, "lora_rank": lora_rank}
        if distill is not None:
            begun |= _as_student(source.config.stage, distill)
        config = config.with_changes(**begun)
    elif lora_rank:
        config = config.with_changes(lora_rank=lora_rank)  # refused, with the reason
    encoder: TextEncoder | None = None
    if config.stage.uses_text:
        encoder = load_text_encoder(config.text_encoder, device=_device(cpu))
        if source is not None and source.text_encoder is not None:
            encoder.card.refuse_other(source.text_encoder, str(source.folder))
        config = config.with_changes(stage=config.stage.with_text_width(encoder.card.width))
    resume = _begun(out, config, encoder)
    if resume is not None and resume.step >= config.total_steps:
        say(f"{config.stage.stage}: all {resume.step} steps are done ({resume.folder})")
        return None
    data = open_data(config, crates, encoder=encoder, encode_text=encode_text, text_cache=text_cache, say=say)
    if resume is not None:
        if resume.data != data.about:
            raise BadInput(
                f"{resume.folder} was trained on other data ({_difference(resume.data, data.about)}); give the same "
                "crates, labels and weights to continue it, or another --out"
            )
        say(f"{config.stage.stage}: continues at step {resume.step} from {resume.folder}")
    if _rank() == 0:
        _sweep(out / "checkpoints")
    if _rank() == 0:
        for use in crates:
            note_training(Crate.open(use.path), str(out.resolve()), config.stage.stage)
    start = source.tensors("ema") if source is not None and resume is None else None
    trainer = Trainer(
        config, data.train, data.held_out, data.text, out, data=data.about, resume=resume, start=start, cpu=cpu,
        wandb=wandb,
    )  # fmt: skip
    if resume is None:
        say(f"{config.stage.stage}: {data.train.order.clips} clips to train on, {data.held_out.order.clips} held out")
    trainer.run(on_checkpoint=on_checkpoint)
    return trainer


def _source(path: Path, stage: str) -> Checkpoint:
    """What is begun with: a checkpoint, a stage's folder, or a run's or an export's, which have one for each stage."""
    found = read_checkpoint(path / stage if (path / stage).is_dir() else path)
    if found.config.stage.stage != stage:
        raise BadInput(f"{found.folder} is a checkpoint of {found.config.stage.stage}, expected is {stage}")
    if found.config.lora_rank:
        raise BadInput(
            f"{found.folder} is a LoRA of rank {found.config.lora_rank}; merge it first: cratedig export-model --from "
            f"{path} -o FOLDER"
        )
    return found


def _as_student(teacher: StageConfig, distill: DistillConfig) -> dict[str, Any]:
    """Every sample has its text: guidance, for which some are trained without, is built in."""
    if distill.guidance is not None and not teacher.uses_text:
        raise BadInput(f"{teacher.stage} reads no text, so nothing guides it; leave --distill-guidance away")
    guidance = teacher.sampling.guidance if distill.guidance is None else distill.guidance
    guidance, student = guidance if teacher.uses_text else 1.0, student_stage(teacher, distill.steps)
    converts = guidance != 1 or student.predicts != teacher.predicts
    known = {"guidance": guidance, "teacher_predicts": teacher.predicts, "converts": converts}
    return {
        "stage": student,
        "distill": distill.model_copy(update=known),
        "text_drop": 0.0,
    }


def _begun(out: Path, config: TrainConfig, encoder: TextEncoder | None) -> Checkpoint | None:
    latest = latest_checkpoint(out / "checkpoints")
    if latest is None:
        return None
    found = read_checkpoint(latest)
    if found.config.stage.stage != config.stage.stage:
        raise BadInput(f"{out} holds a training of {found.config.stage.stage}, not of {config.stage.stage}; "
                       "give another --out")  # fmt: skip
    if encoder is not None and found.text_encoder is not None:
        encoder.card.refuse_other(found.text_encoder, str(found.folder))
    old, new = found.config.model_dump(), config.model_dump()
    may_change = _MAY_CHANGE - ({"total_steps"} if config.distill else set())  # which is what a round is a part of
    for name in new:
        if name not in may_change and old[name] != new[name]:
            raise BadInput(
                f"{found.folder} was trained with other settings ({_difference(old[name], new[name], name)}); continue "
                "it with the same ones, or give another --out"
            )
    return found


def _difference(old: Any, new: Any, name: str = "") -> str:
    """The first place where two settings differ, as `a.b: old, now new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in new:
            if old.get(key) != new[key]:
                return _difference(old.get(key), new[key], f"{name}.{key}".strip("."))
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for i, (a, b) in enumerate(zip(old, new, strict=True)):
            if a != b:
                return _difference(a, b, f"{name}[{i}]")
    return f"{name}: {old!r}, now {new!r}"


def _sweep(checkpoints: Path) -> None:
    """What a killed writer left."""
    for path in checkpoints.glob(".tmp-*"):
        shutil.rmtree(path, ignore_errors=True)


def _rank() -> int:
    """As torchrun and accelerate set it; there is no process group yet."""
    return int(os.environ.get("RANK", "0"))


def _ranks() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))


def _device(cpu: bool) -> str:
    import torch

    return "cuda" if torch.cuda.is_available() and not cpu else "cpu"
