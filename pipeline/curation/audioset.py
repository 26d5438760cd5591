"""AudioSet's lists (which ten seconds of which video, with which labels), and files that are named after them.

The lists are the dictionary: a name counts only where a list has the id that it holds, so that ids with `_`, with `-`
in front or beginning with Y are told apart from what people put around them.
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BadInput

__all__ = ["APPENDIX_D", "MUSIC", "NamedClip", "Segment", "named_clip", "read_labels", "read_ontology", "read_segments"]

APPENDIX_D = Path(__file__).parent / "data" / "appendix_d.csv"
"""Label set of Noise2Music's appendix D: 130 of the 141 classes that its text counts; the list names no more."""
MUSIC = "/m/04rlf"
_ID = r"(?P<id>[A-Za-z0-9_-]{11})"
_NUMBER = r"\d+(?:\.\d+)?"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        _ID,
        f"Y{_ID}",
        f"Y?{_ID}_(?P<start>{_NUMBER})(?:[_-](?P<end>{_NUMBER}))?",
        rf"\[{_ID}\]-\[(?P<start>{_NUMBER})-(?P<end>{_NUMBER})\]",
    )
)


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One row of a list."""

    ytid: str
    start_s: float
    end_s: float
    labels: tuple[str, ...]
    """Machine ids of the ontology."""
    split: str
    """`test` for the evaluation list, `train` for the others: by list, whatever folder a file lies in."""


@dataclass(frozen=True, kw_only=True)
class NamedClip:
    """What a file's name says."""

    ytid: str
    fits: bool
    """Whether the start in the name, if it holds one, is the list's: in seconds or milliseconds."""


def named_clip(key: str, segments: Mapping[str, Segment] | Mapping[str, float]) -> NamedClip | None:
    """The clip of a file, by its name; None where the name holds no id of the lists, or two.

    segments: id -> its row, or its start in seconds.
    """
    stem = posixpath.splitext(posixpath.basename(key.replace("\\", "/")))[0]
    found: dict[str, bool] = {}
    for match in filter(None, (pattern.fullmatch(stem) for pattern in _PATTERNS)):
        if (known := segments.get(match["id"])) is not None:
            start = match.groupdict().get("start")
            begins = known.start_s if isinstance(known, Segment) else float(known)
            found[match["id"]] = start is None or _is(float(start), begins)
    if len(found) != 1:
        return None
    ((ytid, fits),) = found.items()
    return NamedClip(ytid=ytid, fits=fits)


def _is(said: float, begins_s: float) -> bool:
    """Seconds, which some round to whole ones, or milliseconds."""
    return abs(said - begins_s) <= 0.5 or abs(said - 1000 * begins_s) <= 1


def read_segments(paths: Iterable[str]) -> dict[str, Segment]:
    """Every row of the lists. An id in two lists keeps the evaluation list's row. Raises BadInput."""
    found: dict[str, Segment] = {}
    for path in paths:
        split = "test" if "eval" in Path(path).name else "train"
        before = len(found)
        for number, row in _lines(path):
            try:
                ytid, start, end, labels = row
                said = Segment(ytid=ytid, start_s=float(start), end_s=float(end), split=split,
                               labels=tuple(filter(None, (label.strip() for label in labels.split(",")))))  # fmt: skip
            except ValueError as error:
                raise BadInput(
                    f'{path} line {number} is {",".join(row)!r}; expected YTID, start, end, "labels" as in AudioSet\'s '
                    "balanced_train_segments.csv"
                ) from error
            if ytid not in found or split == "test":
                found[ytid] = said
        if len(found) == before:
            raise BadInput(f"{path} names no segment that the lists before it have not; give each list once")
    return found


def _lines(path: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of Google's file (`# ` headers, blanks behind commas) and of its copies with a plain header."""
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file, skipinitialspace=True), start=1):
                if row and not row[0].startswith("#") and row[0] != "YTID":
                    yield number, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path} cannot be read as a list of AudioSet segments ({error})") from error


def read_ontology(path: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Machine id -> (name, ids below it), from AudioSet's ontology.json. Raises BadInput."""
    try:
        nodes = json.loads(Path(path).read_text(encoding="utf-8"))
        return {node["id"]: (str(node["name"]), tuple(node["child_ids"])) for node in nodes}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path} cannot be read as AudioSet's ontology.json ({error!r})") from error


def read_labels(which: str, ontology: Mapping[str, tuple[str, tuple[str, ...]]]) -> dict[str, str]:
    """Machine id -> name, of `appendix-d`, `music` (the one class), `subtree` (Music and all below) or a CSV file with
    the columns mid and name."""
    if which == "music":
        return {MUSIC: "Music"}
    if which == "subtree":
        if MUSIC not in ontology:
            raise BadInput(f"--labels subtree needs --ontology ontology.json with {MUSIC} (Music) in it")
        below, todo = dict[str, str](), [MUSIC]
        while todo:
            mid = todo.pop()
            if mid in ontology and mid not in below:
                below[mid] = ontology[mid][0]
                todo += ontology[mid][1]
        return dict(sorted(below.items()))
    path = APPENDIX_D if which == "appendix-d" else Path(which)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = {row["mid"]: row.get("name") or row["mid"] for row in csv.DictReader(file)}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"--labels {which!r} is neither appendix-d, subtree, music nor a CSV file with a column mid ({error})"
        ) from error
    if unknown := [mid for mid in found if ontology and mid not in ontology]:
        raise BadInput(f"{path} has {len(unknown)} labels that the ontology has not, such as {unknown[0]!r}")
    return found
