"""One sentence on its way: the slots of a form filled from a scene, so that verbs agree with their nouns."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from vocab.grammar.english import conjugate, gerund, with_article
from vocab.grammar.lexicon import FACTS, FAMILY_OF, group_of, stated_facts
from vocab.grammar.scene import Scene
from vocab.grammar.words_feel import (
    DENSITY_WORDS,
    ENERGY_WORDS,
    FEELS,
    MOOD_WORDS,
    PACES,
    PIECES,
    RECORDINGS,
    TEMPO_WORDS,
    USES,
    VOICE_LINES,
    VOICES,
)
from vocab.grammar.words_instruments import FAMILY_PHRASES, Instrument
from vocab.grammar.words_playing import BASS_LINES, GROOVES, LINES, QUALITIES

__all__ = ["SLOT", "Draft"]

SLOT = re.compile(r"\{(\w+)\}")
_CONDITIONS = {"alone": "ensemble:solo", "pair": "ensemble:duo", "no_drums": "drums:no", "unsung": "voice:no"}
_QUALITY_SHARE = 0.45
_FAMILY_SHARE = 0.08


@dataclass
class Draft:
    """One sentence on its way; what a slot was filled with stays, so that verbs agree with their nouns."""

    scene: Scene
    rng: Random
    facts: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)
    """Part -> the fact by which it was named: its instrument, or only its family."""
    plural: dict[str, bool] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def can_fill(self, form: str) -> bool:
        return all(self._has(slot) for slot in SLOT.findall(form))

    def fill(self, form: str) -> str:
        return SLOT.sub(lambda found: self._slot(found.group(1)), form)

    def _has(self, slot: str) -> bool:
        scene = self.scene
        if slot in _CONDITIONS:
            return _CONDITIONS[slot] in scene.truth
        root, _, how = slot.partition("_")
        if root in ("lead", "chords", "bass", "drums", "pad"):
            return (
                all(part in scene.parts for part in ("bass", "drums") if part in slot)
                and root in scene.parts
                and (how != "bare" or not any(p.startswith(("+", "~")) for p in scene.parts[root].phrases))
            )
        if root == "voice":
            return bool(scene.voice)
        if slot == "energy":
            return scene.energy != "plain"
        if slot == "energy_high":
            return scene.energy == "high"
        if slot == "density":
            return not {"density:sparse", "density:busy"}.isdisjoint(scene.truth)
        if slot == "decade":
            return bool(scene.decade)
        if slot == "style":
            return scene.style is not None
        return True

    def _slot(self, slot: str) -> str:
        if slot in _CONDITIONS:
            self.facts.add(_CONDITIONS[slot])
            return ""
        root, _, how = slot.partition("_")
        if root in self.scene.parts:
            return self._part(root, how)
        return _WORDS[slot](self)

    def _pick(self, words: tuple[str, ...]) -> str:
        """One of the words that this sentence has not used."""
        fresh = [word for word in words if word not in self.used] or list(words)
        word = self.rng.choice(fresh)
        self.used.add(word)
        return word

    def _part(self, role: str, how: str) -> str:
        instrument = self.scene.parts[role]
        if how in ("does", "doing", "enter", "and_bass_do"):
            return self._playing(role, instrument, how)
        phrases, fact = instrument.phrases, instrument.fact
        family = FAMILY_OF.get(instrument.name, "")
        if how != "bare" and family in FAMILY_PHRASES and self.rng.random() < _FAMILY_SHARE:
            phrases, fact = FAMILY_PHRASES[family], f"family:{family}"
        self.named[role] = fact
        self.facts.add(fact)
        phrase = self._pick(phrases)
        number, noun = (phrase[0], phrase[1:]) if phrase[0] in "+~" else ("", phrase)
        self.plural[role] = number == "+"
        if how == "bare":
            return noun
        if how != "plain" and self.rng.random() < _QUALITY_SHARE:
            noun = f"{self._quality(instrument)} {noun}"
        return noun if number else with_article(noun)

    def _quality(self, instrument: Instrument) -> str:
        own = QUALITIES.get(instrument.manner, {})
        words = own.get("plain", ()) + QUALITIES["any"]["plain"]
        if self.scene.energy != "plain":
            words += own.get(self.scene.energy, ()) + QUALITIES["any"][self.scene.energy]
        return self._pick(words)

    def _playing(self, role: str, instrument: Instrument, how: str) -> str:
        if how == "enter":
            return conjugate(self._pick(("enter", "come in", "join in", "kick in")), plural=self.plural[role])
        if how == "and_bass_do":
            return self._pick(("lock together", "keep things moving", "hold the rhythm", "carry the rhythm"))
        line, _, facts = self._pick(self._lines(role, instrument)).partition(" # ")
        if instrument.manner == "choir" and line.startswith(("play ", "take a long solo", "improvise")):
            line = "sing " + (line.partition(" ")[2] if line.startswith("play ") else "freely")
        self.facts.update(facts.split())
        self.facts.update(fact for fact in stated_facts(line) if group_of(fact) in _OPEN_GROUPS)
        leading = self.named.get(role, "").replace("instrument:", "lead:")
        if role == "lead" and leading in FACTS and leading.startswith("lead:") and _LEADING.search(line):
            self.facts.add(leading)
        return gerund(line) if how == "doing" else conjugate(line, plural=self.plural.get(role, False))

    def _lines(self, role: str, instrument: Instrument) -> tuple[str, ...]:
        style = self.scene.style
        if role == "bass" and instrument.manner == "bass":
            kinds = style.bass_lines if style is not None and style.bass_lines else ("any",)
            return tuple(line for kind in kinds for line in BASS_LINES[kind])
        if role == "bass":
            return BASS_LINES["any"]
        if role == "drums":
            kinds = style.grooves if style is not None else (instrument.manner,)
            lines = tuple(line for kind in kinds for line in GROOVES[kind]) + GROOVES[instrument.manner][:1]
        else:
            use = "lead" if role == "lead" else "chords"
            lines = LINES[instrument.manner][use] * 2 + LINES["any"][use]
        wild = "energy:calm" if self.scene.energy != "calm" else "energy:high"
        if self.scene.energy == "plain":
            return tuple(line for line in lines if "energy:" not in line)
        return tuple(line for line in lines if wild not in line)


_OPEN_GROUPS = frozenset({"texture", "feel", "drums"})
"""What a line of an instrument may state beyond what its scene has decided."""
_LEADING = re.compile(r"\b(?:melody|theme|tune|lead|solo|hook)\b")


def _stating(draft: Draft, word: str, fact: str) -> str:
    draft.facts.add(fact)
    return word


def _style_word(draft: Draft) -> str:
    style = draft.scene.style
    if style is None:
        return ""
    word = draft._pick(style.words)
    draft.facts.update(stated_facts(word))
    draft.facts.update(style.facts)
    return _stating(draft, word, f"style:{style.name}")


def _piece(draft: Draft, *, plain: bool) -> str:
    words = PIECES["any"]
    if not plain:
        scene = draft.scene
        words += PIECES["slow"] if scene.tempo == "slow" else ()
        words += PIECES["sung"] if scene.voice else ()
        words += PIECES["unsung"] if "voice:no" in scene.truth else ()
        words += PIECES["drums"] if "drums" in scene.parts and scene.mood in ("groovy", "happy") else ()
    return draft._pick(words)


def _density(draft: Draft) -> str:
    fact = "density:sparse" if "density:sparse" in draft.scene.truth else "density:busy"
    return _stating(draft, draft._pick(DENSITY_WORDS[fact.partition(":")[2]]), fact)


def _use(draft: Draft) -> str:
    mood, energy = draft.scene.mood, draft.scene.energy
    words = USES.get(f"energy:{energy}", ())
    if (energy, mood) not in (("high", "romantic"), ("high", "sad"), ("high", "dreamy"), ("calm", "aggressive")):
        words += USES[f"mood:{mood}"]
    return draft._pick(words)


def _recording(draft: Draft) -> str:
    phrase, fact = draft.rng.choice(RECORDINGS)
    return _stating(draft, phrase, fact) if fact else phrase


def _voice(draft: Draft) -> str:
    voice = draft.scene.voice
    draft.facts.update(("voice:sung", f"voice:{voice}"))
    return with_article(draft._pick(VOICES[voice]))


def _singing(draft: Draft) -> str:
    scene = draft.scene
    lines = VOICE_LINES["any"] + VOICE_LINES.get(scene.mood, ()) + VOICE_LINES.get(scene.energy, ())
    return conjugate(draft._pick(lines), plural=False)


_WORDS: dict[str, Callable[[Draft], str]] = {
    "style": _style_word,
    "piece": lambda d: _piece(d, plain=False),
    "piece_plain": lambda d: _piece(d, plain=True),
    "mood": lambda d: _stating(d, d._pick(MOOD_WORDS[d.scene.mood]), f"mood:{d.scene.mood}"),
    "feel": lambda d: d._pick(FEELS),
    "energy": lambda d: _stating(d, d._pick(ENERGY_WORDS[d.scene.energy]), f"energy:{d.scene.energy}"),
    "energy_high": lambda d: _stating(d, d._pick(ENERGY_WORDS["high"]), "energy:high"),
    "tempo": lambda d: _stating(d, d._pick(TEMPO_WORDS[d.scene.tempo]), f"tempo:{d.scene.tempo}"),
    "tempo_is": lambda d: _stating(
        d, {"medium": "moderate"}.get(d.scene.tempo, d.scene.tempo), f"tempo:{d.scene.tempo}"
    ),
    "pace": lambda d: _stating(d, d._pick(PACES[d.scene.tempo]), f"tempo:{d.scene.tempo}"),
    "density": _density,
    "use": _use,
    "decade": lambda d: d.scene.decade,
    "recording": _recording,
    "voice": _voice,
    "voice_does": _singing,
}
