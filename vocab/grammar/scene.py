"""Some music, decided before a word is written about it: a style or a few instruments, and how they are played."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from vocab.grammar.lexicon import FACTS, with_implied
from vocab.grammar.words_feel import MOOD_WORDS
from vocab.grammar.words_instruments import INSTRUMENTS, Instrument
from vocab.grammar.words_playing import LINES
from vocab.grammar.words_style import STYLES, Style

__all__ = ["Scene", "draw_scene"]

_STYLED_SHARE = 0.8
"""Of scenes that have a style; the others are an instrument, or a few, on their own."""


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
        truth.update({f"style:{style.name}", *style.facts}.intersection(FACTS))
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
