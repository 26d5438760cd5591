"""Which of a clip's labels become its text: sentences before tags before metadata, the best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.errors import BadInput

__all__ = ["Slots", "Texts", "choose_texts", "join_texts"]

_NAMES_THE_TRACK = ("title", "artist", "album")


@dataclass(frozen=True, kw_only=True)
class Slots:
    """The columns of a label run by what they hold, each in the order of the run."""

    long: tuple[str, ...]
    short: tuple[str, ...]
    prompt: bool

    @classmethod
    def of_run(cls, run: Mapping[str, Any], name: str, wanted: Sequence[str] = ()) -> Slots:
        """From run.json. Raises BadInput where `wanted` names a slot that the run has not."""
        kinds = {slot: about["kind"] for slot, about in sorted(run["slots"].items())}
        has = [*kinds, *(["prompt"] if run.get("prompt") else []), "metadata"]
        if unknown := [slot for slot in wanted if slot not in has]:
            raise BadInput(f"labels {name!r} have no slot {unknown[0]!r}; they have {', '.join(has)}")
        return cls(
            long=tuple(slot for slot, kind in kinds.items() if kind == "long"),
            short=tuple(slot for slot, kind in kinds.items() if kind == "short"),
            prompt=bool(run.get("prompt")),
        )


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What a clip says."""

    captions: tuple[str, ...]
    """Best first, each once; none where the clip has no text."""
    scores: tuple[float, ...]
    """Of the captions that were retrieved, in their order; empty where one was not."""
    keywords: tuple[str, ...]


def choose_texts(labels: Mapping[str, Any], slots: Slots, wanted: Sequence[str], redact: Sequence[str]) -> Texts:
    """The texts of one row of labels.

    wanted: slots to take texts from, all of them; where it is empty, the first of long slots, prompt, tags, metadata
    that has any. Prompt and metadata name title and artist, so they are no texts where those are redacted.
    """
    keywords = tuple(dict.fromkeys(label["text"] for slot in slots.short for label in labels.get(slot) or ()))
    named = {name for name in redact if name in _NAMES_THE_TRACK}

    def said(slot: str) -> list[tuple[str, float | None]]:
        if slot in slots.long:
            return [(label["text"], label["score"]) for label in labels.get(slot) or ()]
        if slot in slots.short:
            return [(", ".join(label["text"] for label in labels.get(slot) or ()), None)]
        if named or (slot == "metadata" and "tags" in redact):
            return []
        return [(labels.get("prompt") or "" if slot == "prompt" else ", ".join(labels.get("metadata") or ()), None)]

    chosen = [pair for slot in wanted for pair in said(slot)]
    if not wanted:
        chains = [slots.long, ("prompt",) if slots.prompt else (), slots.short, ("metadata",)]
        for chain in chains:
            chosen = [pair for slot in chain for pair in said(slot) if pair[0].strip()]
            if chosen:
                break
    found: dict[str, float | None] = {}
    for text, score in chosen:
        if (plain := " ".join(text.split())) and plain not in found:
            found[plain] = score
    ranked = _best_first(found)
    scores = tuple(score for _, score in ranked if score is not None)
    return Texts(
        captions=tuple(text for text, _ in ranked),
        scores=scores if len(scores) == len(ranked) else (),
        keywords=tuple(" ".join(word.split()) for word in keywords if word.strip()),
    )


def _best_first(found: Mapping[str, float | None]) -> list[tuple[str, float | None]]:
    """By score where all have one; the order given otherwise, and between equals."""
    pairs = list(found.items())
    if any(score is None for _, score in pairs):
        return pairs
    return sorted(pairs, key=lambda pair: -(pair[1] or 0.0))


def join_texts(captions: Sequence[str], keywords: Sequence[str]) -> str:
    """Sentences with a space between them, then tags with commas."""
    tags = ", ".join(keywords)
    return " ".join(captions if not tags or tags in captions else [*captions, tags])
