"""Long captions from a grammar over music words: for a machine without a language model.

A scene is drawn first (style, tempo, mood, energy, parts and their instruments, all at home together), then a sentence
form whose slots the scene can fill. The facts of a caption are what it states, read back with the lexicon and joined
with what the slots know; a caption that states anything untrue of its scene is thrown away, so none contradicts itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from random import Random

from vocab.grammar.english import conjugate, gerund, sentence, with_article
from vocab.grammar.lexicon import FACTS, FAMILY_OF, group_of, stated_facts, with_implied
from vocab.grammar.templates import LONG_FORMS, TAILS
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
from vocab.grammar.words_sound import BASS_LINES, FAMILY_PHRASES, GROOVES, INSTRUMENTS, LINES, QUALITIES, Instrument
from vocab.grammar.words_style import STYLES, Style

__all__ = ["Scene", "draw_scene", "long_captions", "write_caption"]

_KNOWN = frozenset(FACTS)
_SLOT = re.compile(r"\{(\w+)\}")
_CONDITIONS = {"alone": "ensemble:solo", "pair": "ensemble:duo", "no_drums": "drums:no", "unsung": "voice:no"}
_STYLED_SHARE = 0.8
"""Of scenes that have a style; the others are an instrument, or a few, on their own."""
_TAIL_SHARE = 0.3
_QUALITY_SHARE = 0.45
_FAMILY_SHARE = 0.08


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Some music, decided before a word is written about it."""

    style: Style | None
    tempo: str
    mood: str
    energy: str
    """`calm`, `high` or `plain`; only the first two may be stated."""
    parts: dict[str, Instrument]
    """`lead`, `chords`, `bass`, `drums`, `pad`: those that there are."""
    voice: str
    """`male`, `female` or empty."""
    decade: str
    truth: frozenset[str]
    """Every fact that may be stated."""


def long_captions(seed: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Captions without end and the facts each states; number i depends on (seed, i) alone. Some come twice."""
    for index in count():
        rng = Random(f"{seed}:{index}")
        scene = draw_scene(rng)
        while (written := write_caption(scene, rng)) is None:
            scene = draw_scene(rng)
        yield written


def draw_scene(rng: Random) -> Scene:
    """A style, or only an instrument or a few, and a way of playing that can go with it."""
    if rng.random() < _STYLED_SHARE:
        return _scene_of_style(rng, rng.choice(STYLES))
    return _scene_of_instruments(rng)


def _scene_of_style(rng: Random, style: Style) -> Scene:
    tempo = rng.choice(style.tempos)
    energy = _energy(rng.choice(style.energies), tempo)
    parts: dict[str, Instrument] = {}
    lead = rng.choice(style.leads)
    parts["lead"] = INSTRUMENTS[lead]
    solo = "ensemble:solo" in style.facts
    chords = [name for name in style.chords if name != lead]
    if chords and not solo and rng.random() < 0.95:
        parts["chords"] = INSTRUMENTS[rng.choice(chords)]
    for part, names, share in (("bass", style.basses, 0.85), ("drums", style.drums, 0.85), ("pad", style.pads, 0.6)):
        free = [name for name in names if name not in {used.name for used in parts.values()}]
        if free and rng.random() < share:
            parts[part] = INSTRUMENTS[rng.choice(free)]
    voice = rng.choice(style.voices) if style.voices and rng.random() < 0.35 else ""
    return _scene(
        style=style,
        tempo=tempo,
        mood=_mood(rng, style.moods, energy),
        energy=energy,
        parts=parts,
        voice=voice,
        decade=rng.choice(style.decades) if style.decades else "",
    )


def _scene_of_instruments(rng: Random) -> Scene:
    tempo = rng.choice(("slow", "medium", "fast"))
    energy = _energy(rng.choice(("calm", "high", "plain")), tempo)
    leads = [item for item in INSTRUMENTS.values() if item.manner in LINES]
    parts = {"lead": rng.choice(leads)}
    kind = rng.random()
    if kind > 0.5:
        parts["chords"] = rng.choice([item for item in leads if item.fact != parts["lead"].fact])
    if kind > 0.75:
        parts["bass"] = INSTRUMENTS[rng.choice(("acoustic bass", "electric bass", "synth bass"))]
    if kind > 0.85:
        parts["drums"] = INSTRUMENTS[rng.choice(("drums", "brushed drums", "electronic drums", "hand percussion"))]
    mood = _mood(rng, tuple(MOOD_WORDS), energy)
    return _scene(style=None, tempo=tempo, mood=mood, energy=energy, parts=parts, voice="", decade="")


def _energy(energy: str, tempo: str) -> str:
    """Neither calm and fast nor wild and slow: such music exists, sentences about it read like mistakes."""
    return "plain" if (energy, tempo) in (("calm", "fast"), ("high", "slow")) else energy


def _mood(rng: Random, moods: tuple[str, ...], energy: str) -> str:
    unlike = {"calm": ("aggressive", "epic", "groovy"), "high": ("sad", "dreamy"), "plain": ()}[energy]
    return rng.choice([mood for mood in moods if mood not in unlike] or list(moods))


def _scene(
    *,
    style: Style | None,
    tempo: str,
    mood: str,
    energy: str,
    parts: dict[str, Instrument],
    voice: str,
    decade: str,
) -> Scene:
    truth = {f"tempo:{tempo}", f"mood:{mood}", *(part.fact for part in parts.values())}
    if style is not None:
        truth.update({f"style:{style.name}", *style.facts} & _KNOWN)
        truth.update(f"mood:{name}" for name in ("groovy", "hypnotic") if name in style.moods)
    if energy != "plain":
        truth.add(f"energy:{energy}")
    if "drums" in parts:
        truth.add("drums:yes")
    elif style is None or not style.drums:
        truth.add("drums:no")
    players = len(parts) + bool(voice)
    if players <= 2 and energy != "high":
        truth.add("density:sparse")
    elif players >= 4 and energy == "high":
        truth.add("density:busy")
    truth.add("ensemble:solo" if players == 1 else "ensemble:duo" if players == 2 else "ensemble:group")
    truth.update({"voice:sung", f"voice:{voice}", "family:voice"} if voice else {"voice:no"})
    if not voice and ("voice:sung" in truth or any(part.name == "choir" for part in parts.values())):
        truth.discard("voice:no")
    return Scene(
        style=style,
        tempo=tempo,
        mood=mood,
        energy=energy,
        parts=parts,
        voice=voice,
        decade=decade,
        truth=with_implied(truth),
    )


def write_caption(scene: Scene, rng: Random) -> tuple[str, tuple[str, ...]] | None:
    """One caption about the scene and the facts it states; None where what came out is not true of the scene."""
    draft = _Draft(scene, rng)
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
    return text, tuple(sorted((stated | draft.facts) & _KNOWN))


def _can_follow(form: str, tail: str) -> bool:
    """A tail adds something new in other words; a sentence about one player alone takes no second one."""
    roots = {_ROOTS.get(slot, slot.partition("_")[0]) for slot in _SLOT.findall(form)}
    added = {_ROOTS.get(slot, slot.partition("_")[0]) for slot in _SLOT.findall(tail)}
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


@dataclass
class _Draft:
    """One sentence on its way; what a slot was filled with stays, so that verbs agree with their nouns."""

    scene: Scene
    rng: Random
    facts: set[str] = field(default_factory=set)
    named: dict[str, str] = field(default_factory=dict)
    """Part -> the fact by which it was named: its instrument, or only its family."""
    plural: dict[str, bool] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def can_fill(self, form: str) -> bool:
        return all(self._has(slot) for slot in _SLOT.findall(form))

    def fill(self, form: str) -> str:
        return _SLOT.sub(lambda found: self._slot(found.group(1)), form)

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
        if role == "lead" and leading in _KNOWN and leading.startswith("lead:") and _LEADING.search(line):
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


def _stating(draft: _Draft, word: str, fact: str) -> str:
    draft.facts.add(fact)
    return word


def _style_word(draft: _Draft) -> str:
    style = draft.scene.style
    if style is None:
        return ""
    word = draft._pick(style.words)
    draft.facts.update(stated_facts(word))
    draft.facts.update(style.facts)
    return _stating(draft, word, f"style:{style.name}")


def _piece(draft: _Draft, *, plain: bool) -> str:
    words = PIECES["any"]
    if not plain:
        scene = draft.scene
        words += PIECES["slow"] if scene.tempo == "slow" else ()
        words += PIECES["sung"] if scene.voice else ()
        words += PIECES["unsung"] if "voice:no" in scene.truth else ()
        words += PIECES["drums"] if "drums" in scene.parts and scene.mood in ("groovy", "happy") else ()
    return draft._pick(words)


def _density(draft: _Draft) -> str:
    fact = "density:sparse" if "density:sparse" in draft.scene.truth else "density:busy"
    return _stating(draft, draft._pick(DENSITY_WORDS[fact.partition(":")[2]]), fact)


def _use(draft: _Draft) -> str:
    mood, energy = draft.scene.mood, draft.scene.energy
    words = USES.get(f"energy:{energy}", ())
    if (energy, mood) not in (("high", "romantic"), ("high", "sad"), ("high", "dreamy"), ("calm", "aggressive")):
        words += USES[f"mood:{mood}"]
    return draft._pick(words)


def _recording(draft: _Draft) -> str:
    phrase, fact = draft.rng.choice(RECORDINGS)
    return _stating(draft, phrase, fact) if fact else phrase


def _voice(draft: _Draft) -> str:
    voice = draft.scene.voice
    draft.facts.update(("voice:sung", f"voice:{voice}"))
    return with_article(draft._pick(VOICES[voice]))


def _singing(draft: _Draft) -> str:
    scene = draft.scene
    lines = VOICE_LINES["any"] + VOICE_LINES.get(scene.mood, ()) + VOICE_LINES.get(scene.energy, ())
    return conjugate(draft._pick(lines), plural=False)


_WORDS: dict[str, Callable[[_Draft], str]] = {
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
