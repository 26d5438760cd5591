"""The bundled sentences that a language model wrote for this project, with the plan that each was written to.

A sentence's facts are those that its words state and its plan has, so that `a sub bass like something under water`
states a bass and no water; where a plan says nothing of a matter (a mood, a texture), the words count. The sentences
were written on 2026-11-26 by a large language model, asked in the form of the task `tags` (vocab/llm/data/tags.txt)
with the plan as the tags. `python -m vocab.written` makes the vocabulary of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vocab.build import caption_table, provenance_json
from vocab.cleaning.near_duplicates import near_duplicates
from vocab.cleaning.stated import facts_of
from vocab.grammar.lexicon import group_of, stated_facts, with_implied
from vocab.store import BUNDLED_FOLDER, VocabularyCard, write_vocabulary

__all__ = ["Written", "write_written", "written_sentences"]

MODEL, DATE = "a large language model, asked for this project", "2026-11-26"
_FOLDER = BUNDLED_FOLDER / "written"
_ALIKE = 0.8
_OPEN = frozenset({"texture", "density", "energy", "mood", "feel", "register"})


@dataclass(frozen=True, kw_only=True)
class Written:
    text: str
    facts: tuple[str, ...]
    plan: str


def written_sentences() -> Iterator[Written]:
    for file in sorted(_FOLDER.glob("*.txt")):
        plan, allowed = "", frozenset[str]()
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                plan = line.lstrip("# ")
                allowed = with_implied(stated_facts(plan))
            elif line.strip():
                planned = {group_of(fact) for fact in allowed}
                facts = tuple(
                    fact
                    for fact in facts_of(line)
                    if fact in allowed or (group_of(fact) in _OPEN and group_of(fact) not in planned)
                )
                yield Written(text=line.strip(), facts=facts, plan=plan)


def write_written(path: Path = BUNDLED_FOLDER / "written.parquet") -> VocabularyCard:
    """The vocabulary of these sentences, each once and no two nearly the same."""
    every = list(written_sentences())
    gone = near_duplicates([written.text for written in every], threshold=_ALIKE)
    kept = [written for at, written in enumerate(every) if at not in gone]
    table, repeated = caption_table(
        [written.text for written in kept],
        kind="long",
        source="llm",
        licence="Apache-2.0",
        provenance=[
            provenance_json({"model": MODEL, "date": DATE, "task": "tags", "tags": written.plan}) for written in kept
        ],
        facts=[written.facts for written in kept],
    )
    card = VocabularyCard(
        name="written-long",
        kind="long",
        source="llm",
        licence="Apache-2.0",
        evaluation_derived=False,
        note="Written by a large language model for this project, to plans in the lexicon's words; nothing was heard.",
        yields={"written": {"sentences": len(every), "as good as the same": len(gone) + repeated, "kept": len(table)}},
        config={"model": MODEL, "date": DATE, "task": "tags"},
    )
    return write_vocabulary(path, table, card)


if __name__ == "__main__":
    print(write_written())
