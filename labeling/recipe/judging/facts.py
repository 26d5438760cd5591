"""Judging a caption: which of the facts it states hold for a clip whose contents are known.

Within an exclusive group a clip has one value, so that stating another is false; where the clip has none (a tempo
between slow and medium) the statement is left undecided. In an open group several values hold at once, and what is
not there is false. A mood is decided only if the clip has some mood, textures only if it has some texture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vocab.grammar.lexicon import group_of, stated_facts, with_implied

__all__ = ["EXCLUSIVE", "OPEN", "Verdict", "judge_caption", "judge_facts"]

EXCLUSIVE = frozenset({"style", "tempo", "drums", "kit", "ensemble", "energy", "density", "register", "lead"})
OPEN = frozenset({"instrument", "family", "genre", "palette", "voice", "sound"})
_SOME = frozenset({"mood", "texture"})
_OF_ANY_SOUND = frozenset({"recording", "energy", "density", "register"})


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of one caption on one clip."""

    true: tuple[str, ...]
    false: tuple[str, ...]
    undecided: tuple[str, ...]

    @property
    def decided(self) -> int:
        return len(self.true) + len(self.false)

    @property
    def precision(self) -> float | None:
        """Share of decided facts that are true; None where nothing is decided."""
        return len(self.true) / self.decided if self.decided else None


def _decided(group: str, clip_groups: set[str]) -> bool:
    """Whether a stated fact of this group that the clip does not have is false."""
    if group in OPEN or (group in EXCLUSIVE | _SOME and group in clip_groups):
        return True
    return "sound" in clip_groups and group not in _OF_ANY_SOUND


def judge_facts(stated: Iterable[str], clip_facts: Iterable[str]) -> Verdict:
    """True, false or undecided for each stated fact."""
    clip = with_implied(clip_facts)
    groups = {group_of(fact) for fact in clip}
    true: list[str] = []
    false: list[str] = []
    undecided: list[str] = []
    for fact in stated:
        group = group_of(fact)
        if fact in clip:
            true.append(fact)
        elif _decided(group, groups):
            false.append(fact)
        else:
            undecided.append(fact)
    return Verdict(true=tuple(true), false=tuple(false), undecided=tuple(undecided))


def judge_caption(text: str, clip_facts: Iterable[str]) -> Verdict:
    """`judge_facts` on what the lexicon reads in the text."""
    return judge_facts(stated_facts(text), clip_facts)
