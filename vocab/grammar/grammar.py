"""Long captions from a grammar over music words: for a machine without a language model.

A scene is drawn first (style, tempo, mood, energy, parts and their instruments, all at home together), then a sentence
form whose slots the scene can fill. The facts of a caption are what it states, read back with the lexicon and joined
with what the slots know; a caption that states anything untrue of its scene is thrown away, so none contradicts itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from random import Random

from vocab.grammar.draft import SLOT, Draft
from vocab.grammar.english import sentence
from vocab.grammar.lexicon import FACTS, stated_facts
from vocab.grammar.scene import Scene, draw_scene
from vocab.grammar.templates import LONG_FORMS, TAILS

__all__ = ["long_captions", "write_caption"]

_TAIL_SHARE = 0.3


def long_captions(seed: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Captions without end and the facts each states; number i depends on (seed, i) alone. Some come twice."""
    for index in count():
        rng = Random(f"{seed}:{index}")
        scene = draw_scene(rng)
        while (written := write_caption(scene, rng)) is None:
            scene = draw_scene(rng)
        yield written


def write_caption(scene: Scene, rng: Random) -> tuple[str, tuple[str, ...]] | None:
    """One caption about the scene and the facts it states; None where what came out is not true of the scene."""
    draft = Draft(scene, rng)
    forms = [form for form in LONG_FORMS if draft.can_fill(form)]
    if not forms:
        return None
    form = rng.choice(forms)
    if rng.random() < _TAIL_SHARE:
        fitting = [tail for tail in TAILS if draft.can_fill(tail) and _can_follow(form, tail)]
        if fitting:
            form += rng.choice(fitting)
    text = sentence(draft.fill(form))
    words = text.split()
    stated = set(stated_facts(text))
    if not stated <= scene.truth | draft.facts or _repeats(words):
        return None
    return text, tuple(sorted((stated | draft.facts).intersection(FACTS)))


def _can_follow(form: str, tail: str) -> bool:
    """A tail adds something new in other words; a sentence about one player alone takes no second one."""
    roots = {_ROOTS.get(slot, slot.partition("_")[0]) for slot in SLOT.findall(form)}
    added = {_ROOTS.get(slot, slot.partition("_")[0]) for slot in SLOT.findall(tail)}
    opening = tail.split()[1]
    if {"alone", "pair"} & roots and added & {"bass", "drums", "pad"}:
        return False
    return not roots & added and f" {opening} " not in form


_ROOTS = {"pace": "tempo"}


def _repeats(words: list[str]) -> bool:
    """Whether a word of some length stands twice, which reads badly."""
    seen: set[str] = set()
    for word in words:
        bare = word.strip(",.").lower()
        if len(bare) > 4 and bare not in _MAY_REPEAT:
            if bare in seen:
                return True
            seen.add(bare)
    return False


_MAY_REPEAT = frozenset({"while", "music", "their"})
