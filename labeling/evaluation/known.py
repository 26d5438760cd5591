"""What is known of clips besides their captions: facts from a list, the tracks' own tags, or a tagger's scores.

B clips, F facts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.tag_facts import fact_scores
from labeling.recipe.judging.facts import EXCLUSIVE
from pipeline.errors import BadInput
from vocab.grammar.lexicon import FACTS, group_of, stated_facts, with_implied
from vocab.tables import read_rows

__all__ = ["Known", "known_by_tags", "read_facts", "read_tagger"]

_WINDOW_S = 10.0
"""Of the windows that the demo music's facts.json tells of."""
_ID_COLUMNS = ("clip_id", "track_id", "key", "path", "file")
_FACT_COLUMNS = ("facts", "fact", "tags", "labels", "genre")


@dataclass(frozen=True, kw_only=True)
class Known:
    """For each fact, in which order the clips have it."""

    name: str
    """What says so, for people."""
    facts: tuple[str, ...]
    rank_BF: NDArray[np.float64]
    """In (0, 1): the share of other clips that have less of it, ties half; NaN for clips of which nothing is said."""
    has: tuple[frozenset[str], ...] | None = None
    """The facts of each clip, where they are said to be all; empty for a clip of which nothing is said."""

    @property
    def judged(self) -> int:
        """Clips of which something is said."""
        return int((~np.isnan(self.rank_BF).all(axis=1)).sum()) if self.rank_BF.size else 0


def ranks(score_BF: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each column: how many other clips score lower, equal ones half, over how many others there are."""
    rank_BF = np.full(score_BF.shape, np.nan)
    for f, column in enumerate(score_BF.T):
        there = np.flatnonzero(~np.isnan(column))
        rising = np.sort(column[there])
        below = np.searchsorted(rising, column[there], "left") + np.searchsorted(rising, column[there], "right") - 1
        rank_BF[there, f] = below / 2 / max(len(there) - 1, 1)
    return rank_BF


def read_tagger(path: str, clips: Sequence[Mapping[str, Any]]) -> Known:
    """A table of clip, tag, score: columns clip_id (or track_id, key, path), tag, score; a tag may be `SET/TAG`.

    Raises BadInput where it says nothing of these clips.
    """
    rows = list(read_rows(path, columns=["tag", "score"]))
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    places, column = _places(path, clips, [row.values for row in rows[:1]])
    for row in rows:
        try:
            score = float(row.values["score"])
        except (ValueError, KeyError):
            raise BadInput(f"{path} row {row.number}: score {row.values.get('score')!r} is no number") from None
        kind, _, tag = row.values["tag"].rpartition("/")
        for clip in places.get(row.values.get(column, ""), ()):
            found.setdefault(kind, {}).setdefault(tag.strip(), {}).setdefault(clip, []).append(score)
    if not found:
        raise BadInput(f"{path} has {len(rows)} rows and none of them about a clip of this crate; its column "
                       f"{column} should hold values such as {_example(clips, column)!r}")  # fmt: skip
    activations: dict[str, dict[str, NDArray[np.floating]]] = {}
    heard = sorted({clip for tags in found.values() for by_clip in tags.values() for clip in by_clip})
    for kind, tags in found.items():
        activations[kind] = {
            tag: np.array([np.mean(by_clip.get(clip, [0.0])) for clip in heard]) for tag, by_clip in tags.items()
        }
    facts, score_HF = fact_scores(activations)
    if not facts:
        some = ", ".join(list(next(iter(found.values())))[:5])
        raise BadInput(f"{path}: none of its tags ({some}, ...) names a fact that captions state")
    score_BF = np.full((len(clips), len(facts)), np.nan)
    score_BF[heard] = score_HF
    return Known(name=f"tagger {Path(path).name}", facts=facts, rank_BF=ranks(score_BF))


def read_facts(path: str, clips: Sequence[Mapping[str, Any]]) -> Known:
    """The demo music's facts.json, or a table with clip_id (or track_id, key, path) and facts: `group:value` or words,
    parted by `;`, `,` or `|`. A table is taken to say all that is true. Raises BadInput."""
    listed = not path.endswith(".json")
    has = _listed_facts(path, clips) if listed else [_windows_of(path, clip) for clip in clips]
    if not any(has):
        raise BadInput(f"{path} says nothing of the {len(clips)} clips; it should name them as the crate does, such as "
                       f"{_example(clips, 'key')!r}")  # fmt: skip
    return _of_facts(f"facts {Path(path).name}", has, whole=True)


def known_by_tags(clips: Sequence[Mapping[str, Any]]) -> Known | None:
    """What the tracks' own tags say in words of the lexicon; None where they say nothing."""
    has = [frozenset(fact for tag in clip["tags"] or () for fact in stated_facts(tag)) for clip in clips]
    return _of_facts("the tracks' own tags", has, whole=False) if any(has) else None


def _of_facts(name: str, has: Sequence[frozenset[str]], *, whole: bool) -> Known:
    full = [with_implied(facts) for facts in has]
    facts = tuple(sorted({fact for one in full for fact in one}))
    score_BF = np.array([[float(fact in one) if one else np.nan for fact in facts] for one in full])
    return Known(name=name, facts=facts, rank_BF=ranks(score_BF), has=tuple(has) if whole else None)


def _windows_of(path: str, clip: Mapping[str, Any]) -> frozenset[str]:
    """Facts of the 10 s windows of a clip: present in any, or in most where a group has one value at a time."""
    known = _json(path).get(clip["source_key"])
    if not isinstance(known, dict):
        return frozenset()
    windows = known.get("windows") or [known.get("facts", [])]
    first, last = int(clip["start_s"] // _WINDOW_S), int((clip["start_s"] + clip["duration_s"] - 1) // _WINDOW_S)
    inside = windows[first : last + 1] or windows[-1:]
    counted = Counter(fact for window in inside for fact in set(window))
    return frozenset(f for f, n in counted.items() if group_of(f) not in EXCLUSIVE or 2 * n >= len(inside))


_READ: dict[str, Mapping[str, Any]] = {}


def _json(path: str) -> Mapping[str, Any]:
    if path not in _READ:
        try:
            value = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadInput(f"{path} cannot be read as JSON ({error})") from error
        if not isinstance(value, dict):
            raise BadInput(f"{path} holds a {type(value).__name__}; expected an object: file -> what is known of it")
        _READ[path] = value
    return _READ[path]


def _listed_facts(path: str, clips: Sequence[Mapping[str, Any]]) -> list[frozenset[str]]:
    rows = list(read_rows(path))
    header = list(rows[0].values) if rows else []
    column = next((name for name in _FACT_COLUMNS if name in header), "")
    if not column:
        raise BadInput(
            f"{path} has the columns {', '.join(header) or 'none'}; expected one of {', '.join(_FACT_COLUMNS)}"
        )
    places, by = _places(path, clips, [row.values for row in rows[:1]])
    has: list[set[str]] = [set() for _ in clips]
    for row in rows:
        said = {fact for part in _parts(row.values.get(column, "")) for fact in _facts_in(part)}
        for clip in places.get(row.values.get(by, ""), ()):
            has[clip] |= said
    return [frozenset(facts) for facts in has]


def _parts(text: str) -> list[str]:
    for mark in ";|":
        text = text.replace(mark, ",")
    return [part.strip() for part in text.split(",") if part.strip()]


def _facts_in(part: str) -> Sequence[str]:
    return (part,) if part in FACTS else stated_facts(part)


def _places(
    path: str, clips: Sequence[Mapping[str, Any]], first: Sequence[Mapping[str, str]]
) -> tuple[dict[str, list[int]], str]:
    """Value of the table's id column -> numbers of clips, and the column's name."""
    header = list(first[0]) if first else []
    column = next((name for name in _ID_COLUMNS if name in header), "")
    if not column:
        raise BadInput(
            f"{path} has the columns {', '.join(header) or 'none'}; expected one of {', '.join(_ID_COLUMNS)}"
        )
    places: dict[str, list[int]] = {}
    for i, clip in enumerate(clips):
        places.setdefault(_name_of(clip, column), []).append(i)
    return places, column


def _name_of(clip: Mapping[str, Any], column: str) -> str:
    return str(clip[column] if column in ("clip_id", "track_id") else clip["source_key"])


def _example(clips: Sequence[Mapping[str, Any]], column: str) -> str:
    return _name_of(clips[0], column)
