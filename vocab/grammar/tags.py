"""Short captions: tags as people write them, from single words to `mellow piano` and `sad jazz`, with their facts.

Every phrase of the lexicon is a tag; the others combine an instrument with a quality, a style with a mood, a tempo or
a decade, and a voice with a manner, only where the two are at home together.
"""

from __future__ import annotations

from collections.abc import Iterator

from vocab.grammar.lexicon import FACTS, WORDS, stated_facts
from vocab.grammar.words_feel import ENERGY_WORDS, MOOD_WORDS, TEMPO_WORDS, USES, VOICES
from vocab.grammar.words_instruments import INSTRUMENTS
from vocab.grammar.words_playing import QUALITIES
from vocab.grammar.words_style import STYLES

__all__ = ["short_captions"]

_KNOWN = frozenset(FACTS)
_PLAIN = (
    *("catchy hook", "memorable melody", "simple melody", "repeating motif", "call and response", "slow build-up"),
    *("big crescendo", "long fade-out", "sudden stop", "gradual build", "key change", "modal harmony", "jazzy chords"),
    *(
        "minor key",
        "major key",
        "blue notes",
        "pentatonic melody",
        "chromatic line",
        "three-four time",
        "six-eight time",
    ),
    *("four-on-the-floor kick", "breakbeat drums", "rolling hi-hats", "brushed snare", "double kick", "one-drop beat"),
    *("boom-bap beat", "walking bass", "pumping bass line", "sub bass drops", "palm-muted riffs", "power chords"),
    *("strummed chords", "fingerpicked guitar", "pedal steel swells", "string swells", "tremolo picking", "vibrato"),
    *("guitar solo", "piano solo", "saxophone solo", "drum fill", "drum break", "record scratches", "vocal chops"),
    *("backing harmonies", "crowd singing", "spoken intro", "falsetto", "vibrato voice", "vocal harmonies", "humming"),
    *("tape hiss", "wide stereo", "dry mix", "lo-fi sound", "studio recording", "live recording", "home recording"),
    *("warm analogue sound", "polished production", "heavy compression", "side-chained pads", "gated reverb"),
    *("film soundtrack", "video game soundtrack", "advert music", "background music", "workout music", "study music"),
    *(
        "sleep music",
        "party music",
        "wedding music",
        "road trip music",
        "dinner music",
        "meditation music",
        "spa music",
    ),
    *("driving music", "dance floor filler", "campfire song", "work song", "sea shanty", "drinking song", "hymn tune"),
    *("theme tune", "jingle", "interlude", "overture", "finale", "intro music", "end credits music", "elevator music"),
)
_ADJECTIVES = frozenset(
    (
        *("Japanese", "Chinese", "African", "Eastern", "Arabic", "operatic", "sacred", "Celtic", "Hawaiian", "Latin"),
        *("symphonic", "orchestral", "choral", "Caribbean", "Balkan", "minimalist", "classical", "children's", "game"),
        *("motivational", "corporate", "holiday", "industrial", "baroque", "psychedelic", "bedtime", "meditation"),
        *("trailer", "church", "hymn-like", "chamber", "piano", "nursery", "island", "roots", "Anatolian", "modern"),
    )
)
"""Style words that do not stand alone: `fast operatic` is no tag, `fast operatic music` is."""


def short_captions() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every tag with the facts it states, in a fixed order; some come twice."""
    for fact, phrases in WORDS.items():
        if not fact.startswith("lead:"):
            for phrase in phrases:
                yield phrase, (fact,)
    for tag in _PLAIN:
        yield _tag(tag)
    yield from _instruments()
    yield from _styles()
    yield from _moods()
    for voice, phrases in VOICES.items():
        for phrase in phrases:
            yield _tag(phrase, f"voice:{voice}")
        for manner in (
            "soft",
            "powerful",
            "breathy",
            "soulful",
            "raspy",
            "passionate",
            "whispered",
            "operatic",
            "nasal",
        ):
            yield _tag(f"{manner} {voice} vocals", f"voice:{voice}")
    for uses in USES.values():
        for use in uses:
            yield _tag(f"music for {use}")


def _tag(text: str, *facts: str) -> tuple[str, tuple[str, ...]]:
    stated = {fact for fact in stated_facts(text) if not fact.startswith("sound:")}
    return text, tuple(sorted((stated | set(facts)) & _KNOWN))


def _instruments() -> Iterator[tuple[str, tuple[str, ...]]]:
    for instrument in INSTRUMENTS.values():
        own = QUALITIES.get(instrument.manner, {})
        common = QUALITIES["any"]
        for phrase in instrument.phrases:
            noun = phrase.lstrip("+~")
            yield _tag(noun, instrument.fact)
            yield _tag(f"solo {noun}", instrument.fact, "ensemble:solo")
        noun = instrument.phrases[0].lstrip("+~")
        qualities = [*own.get("plain", ()), *own.get("calm", ()), *own.get("high", ())]
        qualities += [*common["plain"][:3], *common["calm"][:3], *common["high"][:2]]
        for quality in dict.fromkeys(qualities):
            yield _tag(f"{quality} {noun}", instrument.fact)
        if f"lead:{instrument.name}" in WORDS:
            yield _tag(f"{noun} melody", instrument.fact, f"lead:{instrument.name}")
            yield _tag(f"{noun} accompaniment", instrument.fact)


def _styles() -> Iterator[tuple[str, tuple[str, ...]]]:
    for style in STYLES:
        facts = (f"style:{style.name}", *style.facts)
        for word in style.words:
            if word.split()[-1] not in _ADJECTIVES:
                yield _tag(word, *facts)
        yield _tag(f"{style.words[0]} music", *facts)
        word = style.words[0] + (" music" if style.words[0].split()[-1] in _ADJECTIVES else "")
        for mood in style.moods:
            for adjective in MOOD_WORDS[mood][:3]:
                yield _tag(f"{adjective} {word}", *facts, f"mood:{mood}")
        for tempo in style.tempos:
            yield _tag(f"{TEMPO_WORDS[tempo][0]} {word}", *facts, f"tempo:{tempo}")
        for energy in style.energies:
            if energy != "plain":
                yield _tag(f"{ENERGY_WORDS[energy][0]} {word}", *facts, f"energy:{energy}")
        for decade in style.decades:
            yield _tag(f"{decade} {word}", *facts)
            if decade.startswith("19") and decade > "1920s":
                yield _tag(f"{decade[2:-1]}'s {word}", *facts)
        for voice in style.voices:
            yield _tag(f"{word} with {voice} vocals", *facts, f"voice:{voice}")


def _moods() -> Iterator[tuple[str, tuple[str, ...]]]:
    for mood, adjectives in MOOD_WORDS.items():
        for adjective in adjectives:
            yield _tag(adjective, f"mood:{mood}")
            for noun in ("mood", "atmosphere", "melody", "feel"):
                yield _tag(f"{adjective} {noun}", f"mood:{mood}")
    for energy, adjectives in ENERGY_WORDS.items():
        for adjective in adjectives:
            yield _tag(adjective, f"energy:{energy}")
            yield _tag(f"{adjective} mood", f"energy:{energy}")
    for tempo, adjectives in TEMPO_WORDS.items():
        for adjective in adjectives:
            yield _tag(adjective, f"tempo:{tempo}")
