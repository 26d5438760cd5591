"""Kinds of words in a description of music, as the relevance classifier sees sentences: `a SIZE STRUNG`, `a SUNG HAS`.

Fine where nonsense differs from sense: instruments by how they are played, sizes apart from loudness and pitch, what is
measured (a tempo, a mood) apart from what is played, and things that make no sound.
"""

from __future__ import annotations

from functools import cache, lru_cache

from vocab.cleaning.sense import SCENES
from vocab.cleaning.words_common import COMMON_WORDS, MUSIC_WORDS
from vocab.grammar.lexicon import WORDS
from vocab.grammar.loose_words import LOOSE_WORDS

__all__ = ["class_of"]

_KINDS = {
    "SUNG": "singer singers vocalist vocalists rapper voice voices vocals vocal she he soloist choir",
    "MUSIC": "song songs track piece tune ballad music it this composition number recording clip",
    "PART": """melody melodies rhythm chorus verse solo riff riffs groove line lines chords chord hook bridge intro
        bassline beat beats harmony harmonies pattern phrase note notes""",
    "PACE": "fast slow quick rapid slow-paced fast-paced mid-tempo uptempo upbeat slow-tempo",
    "LOUD": "loud soft quiet gentle heavy light hard",
    "SIZE": "big small large huge tiny long short tall wide narrow thin thick giant little massive",
    "PITCH": "high low deep high-pitched low-pitched bright dark",
    "PRAISE": """great good nice beautiful wonderful amazing best excellent fun cool fantastic lovely pretty perfect
        classic favourite""",
    "MEASURE": """tempo mood key tone sound sounds atmosphere vibe feel feeling feels energy genre style pitch volume
        scale background""",
    "STRUNG": """guitar guitars bass banjo violin violins fiddle cello harp strings string ukulele mandolin sitar lute
        bass-guitar viola double-bass""",
    "KEYED": """piano pianos organ keyboard keyboards synth synths synthesizer synthesizers accordion harpsichord
        celesta rhodes pad pads""",
    "BLOWN": """saxophone sax trumpet trumpets flute flutes trombone horn horns brass clarinet oboe tuba harmonica
        bagpipes woodwinds recorder""",
    "HIT": """drum drums percussion snare kick cymbal cymbals hi-hat hi-hats toms tom tabla bongo bongos conga congas
        tambourine shaker bell bells gong timpani xylophone marimba glockenspiel""",
    "PLAYER": """band guitarist drummer pianist bassist player players orchestra group trio quartet ensemble dj musician
        band guitarist drummer pianist bassist player players orchestra group trio quartet ensemble dj musician""",
    "ONE": "man woman male female boy girl child children person someone people crowd audience lady",
    "PLAYS": "plays play played playing",
    "SINGS": "sings sing sung singing raps rapping rapped",
    "IS": "is are was were",
    "HAS": "has have had having",
    "THING": """room table floor wall house street city car bus hill lake garden flower tree bird animal cat horse river
        rain water sea body hand hands finger fingers foot mouth eye eyes ear bed sofa lamp window stage spoon
        shoe paper bag food meat sugar friend boss trip ride journey adventure party""",
}
_ENDINGS = ("ly", "ing", "ed")


@cache
def _known() -> dict[str, str]:
    groups = {"style": "STYLE", "genre": "STYLE", "mood": "FEEL", "energy": "FEEL", "tempo": "PACE", "density": "FEEL"}
    found: dict[str, str] = {}
    for fact, phrases in (*LOOSE_WORDS.items(), *WORDS.items()):
        kind = groups.get(fact.partition(":")[0])
        found |= {phrase: kind for phrase in phrases if kind and " " not in phrase}
    found |= dict.fromkeys(SCENES, "THING")
    for kind, words in reversed(_KINDS.items()):
        found |= dict.fromkeys(words.split(), kind)
    return found


@lru_cache(maxsize=65_536)
def class_of(word: str) -> str:
    """What kind of word it is; small words are themselves."""
    known = _known()
    kind = known.get(word)
    if kind and kind not in ("STYLE", "FEEL"):
        return kind
    if len(word) <= 4 and word in COMMON_WORDS and word not in MUSIC_WORDS:
        return word
    if kind := kind or known.get(word.removesuffix("s")):
        return kind
    if word in MUSIC_WORDS:
        return "about"
    return next((f"other-{ending}" for ending in _ENDINGS if len(word) > 4 and word.endswith(ending)), "other")
