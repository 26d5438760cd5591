"""What generated audio is worth: similarity to its prompts, distance from real music, and how it sounds in numbers.

N prompts, B clips, D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from beam_jobs.encode import EncodeJob
    from beam_jobs.engine import Engine, OnTick
    from diffusion.evaluation.sound_figures import SoundFigures
    from labeling.evaluation.clip_sets import ClipSet
    from labeling.evaluation.compare import Comparison, Side
    from labeling.evaluation.ranked import Interval
    from pipeline.storage import Storage

__all__ = ["Judge", "Matched", "Scored", "open_judge", "score_generated", "sound_of"]

_HEARD_HZ = 16_000
_FIGURES_OF = 64
"""Clips of the reference whose sound is measured."""


@dataclass(frozen=True, kw_only=True)
class Matched:
    """How near audio is to the prompts that it was generated from, by one joint model."""

    judge: str
    clips: int
    similarity: Interval
    shuffled: float
    """The same prompts with other prompts' audio."""
    rank: Interval
    """Of a prompt's own audio among all audio, for that prompt; .5 by chance."""
    truth: float | None = None
    """The real audio of the set, where it was given."""
    truth_shuffled: float | None = None
    audio: float | None = None
    """Generated against real audio of the same example."""
    by_prompt: Sequence[tuple[int, float]] = field(default_factory=tuple)
    """(number of the prompt, cosine)."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """One generated set."""

    matched: tuple[Matched, ...]
    distances: tuple[Comparison, ...]
    sound: SoundFigures
    """Medians."""
    clips: int
    left_out: Mapping[str, int]
    """Clips that could not be judged, such as silent ones."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Judge:
    """An encoder with the reference in its space; its text tower, where it has one."""

    name: str
    per: str
    reference: Side | None
    embed_text: Callable[[Sequence[str]], Any] | None


def open_judge(
    name: str,
    reference: ClipSet | None,
    cache: Storage,
    *,
    device: str,
    engine: Engine,
    watch: Callable[[EncodeJob], OnTick],
) -> Judge:
    """Encodes the reference, through 16 kHz as the generated audio."""
    from beam_jobs.encode import encode_set
    from labeling.encoders.by_name import load_encoder
    from labeling.encoders.encoder import ClipEncoder
    from labeling.evaluation.compare import Side

    encoder = load_encoder(name, device=device)
    side = None
    if reference is not None:
        encoded = encode_set(
            reference, cache, encoder=name, device=device, through_hz=_HEARD_HZ, engine=engine, watch=watch
        )
        side = Side.of(reference.name, encoded, reference.embedder)
    text = encoder.embedder.embed_text if isinstance(encoder, ClipEncoder) else None
    return Judge(name=name, per=encoder.per, reference=side, embed_text=text)


def score_generated(
    folder: str,
    prompts: Sequence[str],
    judges: Sequence[Judge],
    cache: Storage,
    *,
    clip_s: float,
    device: str,
    engine: Engine,
    watch: Callable[[EncodeJob], OnTick],
    truth: Mapping[int, str] | None = None,
) -> Scored:
    """Files are named by the number of their prompt. truth: number -> file of the example's real audio."""
    from beam_jobs.encode import encode_set
    from labeling.encoders.by_name import encoder_card
    from labeling.evaluation.clip_sets import open_set
    from labeling.evaluation.compare import Side, compare_sets

    clips = open_set(folder, clip_s=clip_s)
    matched, distances = [], []
    left_out: dict[str, int] = {}
    count = 0
    for judge in judges:
        card = encoder_card(judge.name)
        encoded = encode_set(
            clips, cache, encoder=judge.name, device=device, through_hz=_HEARD_HZ, engine=engine, watch=watch
        )
        side = Side.of("generated", encoded, None)
        left_out = {name: n for name, n in side.counts.items() if name != "clips"}
        count = side.counts["clips"]
        if judge.reference is not None:
            distances.append(compare_sets(judge.reference, side, card, judge.per, small=True, through_hz=_HEARD_HZ))
        if judge.embed_text is not None:
            matched.append(_matched(card.name, encoded, prompts, judge, truth, cache, device, engine, watch))
    return Scored(
        matched=tuple(matched),
        distances=tuple(distances),
        sound=sound_of(clips),
        clips=count,
        left_out=left_out,
    )


def _matched(
    name: str,
    encoded: Any,
    prompts: Sequence[str],
    judge: Judge,
    truth: Mapping[int, str] | None,
    cache: Storage,
    device: str,
    engine: Engine,
    watch: Any,
) -> Matched:
    from labeling.evaluation.label_sample import Drawn
    from labeling.evaluation.ranked import by_embedder, interval
    from labeling.report.similarity import strangers

    assert judge.embed_text is not None
    rows = list(encoded.rows(vectors=True))
    numbers = [_number(row["key"]) for row in rows]
    vectors_BD = np.stack([row["vectors"].mean(axis=0) for row in rows])
    drawn = [Drawn(clip=i, text=prompts[number], score=0.0) for i, number in enumerate(numbers)]
    partner_B = strangers([row["clip_id"] for row in rows], [prompts[number] for number in numbers])
    cosine_N2, rank_N2 = by_embedder(vectors_BD, drawn, partner_B, judge.embed_text)
    each = np.arange(len(rows))
    real = _truth(truth, numbers, prompts, vectors_BD, judge, cache, device, engine, watch) if truth else {}
    return Matched(
        judge=name,
        clips=len(rows),
        similarity=interval(cosine_N2[:, 0], each),
        shuffled=round(float(cosine_N2[:, 1].mean()), 4),
        rank=interval(rank_N2[:, 0], each),
        by_prompt=tuple((number, round(float(c), 4)) for number, c in zip(numbers, cosine_N2[:, 0], strict=True)),
        **real,
    )


def _truth(
    truth: Mapping[int, str], numbers: Sequence[int], prompts: Sequence[str], vectors_BD: Any, judge: Judge,
    cache: Storage, device: str, engine: Engine, watch: Any,
) -> dict[str, float]:  # fmt: skip
    """Similarities of the set's own audio, first clip of each file, and of generated to real."""
    from beam_jobs.encode import encode_set
    from labeling.evaluation.clip_sets import FileSet, file_entry, files_config

    assert judge.embed_text is not None
    kept = [number for number in numbers if number in truth]
    files = [file_entry(f"{number:06d}", truth[number]) for number in kept]
    clips = FileSet(name="the set's audio", files=files, config=files_config(10.0), middle_s=0.0)
    encoded = encode_set(
        clips, cache, encoder=judge.name, device=device, through_hz=_HEARD_HZ, engine=engine, watch=watch
    )
    found: dict[int, Any] = {}
    for row in encoded.rows(vectors=True):
        found.setdefault(int(row["key"]), row["vectors"].mean(axis=0))
    both = [number for number in kept if number in found]
    if len(both) < 2:
        return {}
    real = _unit(np.stack([found[number] for number in both]))
    texts = _unit(judge.embed_text([prompts[number] for number in both]))
    made = _unit(vectors_BD[[list(numbers).index(number) for number in both]])
    return {
        "truth": round(float((real * texts).sum(axis=1).mean()), 4),
        "truth_shuffled": round(float((np.roll(real, 1, axis=0) * texts).sum(axis=1).mean()), 4),
        "audio": round(float((made * real).sum(axis=1).mean()), 4),
    }


def _unit(vectors: Any) -> Any:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _number(key: str) -> int:
    """Of the prompt that a generated file is named after."""
    return int(key.rpartition("/")[2].partition(".")[0])


def sound_of(clips: ClipSet, most: int = _FIGURES_OF) -> SoundFigures:
    """Medians over the set's first clips."""
    from diffusion.evaluation.sound_figures import SoundFigures, sound_figures
    from labeling.evaluation.clip_sets import SetClip

    found: list[SoundFigures] = []
    for shard in range(clips.shard_count):
        for clip in clips.clips(shard, _HEARD_HZ):
            if isinstance(clip, SetClip) and len(found) < most:
                found.append(sound_figures(clip.audio_T, _HEARD_HZ))
        if len(found) >= most:
            break
    names = [field.name for field in fields(SoundFigures)]
    return SoundFigures(
        **{name: round(float(np.median([getattr(f, name) for f in found])), 3) if found else 0.0 for name in names}
    )
