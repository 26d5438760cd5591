"""Prompts to judge a model by: MusicCaps, MagnaTagATune, AudioSet (PAPER 4.3.3), or a file of the user's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.curation.audioset import MUSIC, read_labels, read_ontology, read_segments
from pipeline.errors import BadInput
from pipeline.ids import hash_u64
from pipeline.source.rows import open_table

__all__ = ["SETS", "Prompt", "PromptSet", "read_prompts"]

SETS = ("musiccaps", "mtat", "audioset")
_TEXT_COLUMNS = ("prompt", "caption", "text")
_ID_COLUMNS = ("id", "ytid", "clip_id", "track_id")
_TRIVIAL = (MUSIC, "/m/04szw")
"""Music and musical instrument: true of everything, and no part of a prompt."""


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One example of a set."""

    id: str
    text: str

    def seed(self, seed: int) -> int:
        """Of what is generated for it: the same whatever the others are."""
        return hash_u64("prompt", self.id, self.text, seed) >> 1


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """Prompts in the set's order."""

    name: str
    prompts: tuple[Prompt, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows that give no prompt, by reason."""

    def some(self, most: int | None) -> PromptSet:
        """At most so many, chosen by a hash of their ids, in their order."""
        if most is None or most >= len(self.prompts):
            return self
        order = sorted(range(len(self.prompts)), key=lambda i: (hash_u64("chosen", self.prompts[i].id), i))
        kept = sorted(order[:most])
        return PromptSet(name=self.name, prompts=tuple(self.prompts[i] for i in kept), left_out=self.left_out)


def read_prompts(which: str, lists: Sequence[str] = (), ontology: str = "", labels: str = "appendix-d") -> PromptSet:
    """Of the set `which`, from the lists as they are published; or of a file: a prompt a line, or a table with a column
    prompt, caption or text. Raises BadInput."""
    if which in SETS and not lists:
        where = {
            "musiccaps": "musiccaps-public.csv",
            "mtat": "annotations_final.csv",
            "audioset": "eval_segments.csv",
        }[which]
        raise BadInput(f"--set {which} needs the set's own list: --list {where}")
    left_out: Counter[str] = Counter()
    if which == "audioset":
        prompts = _audioset(lists, ontology, labels, left_out)
    elif which == "mtat":
        prompts = [prompt for path in lists for prompt in _tag_columns(path, left_out)]
    else:
        prompts = [prompt for path in (lists if which == "musiccaps" else [which]) for prompt in _table(path, left_out)]
    seen: dict[str, Prompt] = {}
    for prompt in prompts:
        left_out["same-id"] += prompt.id in seen
        seen.setdefault(prompt.id, prompt)
    if not seen:
        why = ", ".join(f"{n} {reason}" for reason, n in sorted(left_out.items()) if n)
        raise BadInput(f"{', '.join(lists) or which} gives no prompt ({why or 'it is empty'})")
    name = which if which in SETS else Path(which).stem
    return PromptSet(name=name, prompts=tuple(seen.values()), left_out={k: n for k, n in left_out.items() if n})


def _table(path: str, left_out: Counter[str]) -> list[Prompt]:
    if not Path(path).is_file():
        raise BadInput(f"{path!r} is neither {', '.join(SETS)} nor a file of prompts")
    if Path(path).suffix == ".txt":
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        return [Prompt(id=f"{i:06d}", text=" ".join(line.split())) for i, line in enumerate(lines) if line.strip()]
    table = open_table(path, known=lambda cells: sum(c.casefold() in (*_TEXT_COLUMNS, *_ID_COLUMNS) for c in cells))
    has = {column.casefold(): column for column in table.columns}
    text = next((has[name] for name in _TEXT_COLUMNS if name in has), "")
    id_column = next((has[name] for name in _ID_COLUMNS if name in has), "")
    if not text:
        raise BadInput(f"{path} has the columns {', '.join(table.columns)}; expected one of {', '.join(_TEXT_COLUMNS)}")
    prompts = []
    for number, row in enumerate(table.rows):
        said = " ".join(str(row.values.get(text) or "").split())
        if row.fault or not said:
            left_out[row.fault or "empty"] += 1
            continue
        prompts.append(Prompt(id=str(row.values.get(id_column) or "") or f"{number:06d}", text=said))
    return prompts


def _tag_columns(path: str, left_out: Counter[str]) -> list[Prompt]:
    """MagnaTagATune's annotations: a column a tag with 0 and 1, clip_id, mp3_path. Clips without a tag are left out, as
    in the paper (21,638 of 25,863 are kept)."""
    table = open_table(path, known=lambda cells: sum(c in ("clip_id", "mp3_path") for c in cells))
    if "clip_id" not in table.columns:
        raise BadInput(f"{path} has no column clip_id; expected MagnaTagATune's annotations_final.csv")
    tags = [column for column in table.columns if column not in ("clip_id", "mp3_path")]
    prompts = []
    for row in table.rows:
        said = ", ".join(tag for tag in tags if str(row.values.get(tag)).strip() in ("1", "1.0"))
        if row.fault or not said:
            left_out[row.fault or "no-tag"] += 1
            continue
        prompts.append(Prompt(id=str(row.values["clip_id"]), text=said))
    return prompts


def _audioset(lists: Sequence[str], ontology: str, labels: str, left_out: Counter[str]) -> list[Prompt]:
    """Segments with a label of the music subtree besides Music itself; their names joined."""
    known = read_labels(labels, read_ontology(ontology) if ontology else {})
    prompts = []
    for ytid, segment in sorted(read_segments(lists).items()):
        names = [known[label] for label in segment.labels if label in known and label not in _TRIVIAL]
        if not names:
            left_out["no-music-label"] += 1
            continue
        prompts.append(Prompt(id=ytid, text=", ".join(names)))
    return prompts
