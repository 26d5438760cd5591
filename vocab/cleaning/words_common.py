"""Which words are about music, and which are so common that they tell nothing as a name."""

from __future__ import annotations

import re

from vocab.grammar.lexicon import WORDS
from vocab.grammar.loose_words import LOOSE_WORDS
from vocab.grammar.words_feel import ENERGY_WORDS, MOOD_WORDS, TEMPO_WORDS
from vocab.grammar.words_instruments import INSTRUMENTS
from vocab.grammar.words_playing import LINES, QUALITIES

__all__ = ["COMMON_WORDS", "MUSIC_WORDS", "tokenise"]

_WORD = re.compile(r"[^\W_]+(?:['’&-][^\W_]+)*")

_FUNCTION = frozenset(
    """a an the and or of in on at by for with without to from as is are was were be been it its this that there here
    their his her he she they we you i over under into out up down no not do does has have had can could would may
    might while before after behind through between both each every all any some one two three very much more most
    than then so but if when where who which what how like about around along back other another full make makes
    made""".split()
)
_MORE_MUSIC = """
    music musical song songs melody melodies melodic rhythm rhythmic harmony harmonies chord chords tempo beat
    beats riff riffs solo vocals vocal vocalist singer singing sings sang sung instrumental instrument instruments
    band orchestra chorus verse bridge hook groove bass drum drums drumming snare kick cymbal hi-hat percussion
    arpeggio note notes tune tunes mood vibe sound sounds sounding audio recording mix reverb reverberant
    distorted distortion acoustic electric electronic ambient track beatboxing rap rapping chant chanting hum
    humming whistling strumming plucking tone tones timbre pitch pitched scale octave key crescendo loud quiet
    soundtrack ballad lullaby anthem jingle dj scratching sample loop loops fills accompaniment accompanied
    backing lead ensemble duo trio quartet choir a-cappella cover remix instrumentation arrangement orchestration
    syncopated staccato legato vibrato falsetto voice voices noise static hiss clapping audience"""
_AMBIGUOUS = frozenset(
    """people girl man woman child children kids baby phone car water house rain river sea stream wind forest storm
    church street game show film movie video company love home hall bed bath parade space engine light play take
    hold add answer fill open part parts hit hits big simple rich hard raw club party single radio story tell
    telling city old new rush low high dull wet dry bar world not something someone tv being set number piece""".split()
)
"""In the lexicon for a tag's sake, but no sign of music by themselves."""
_EVERYDAY = frozenset(
    """hello home night day time life world heart eyes hand hands people girl boy baby man woman men women child
    children house room door street road city town sun moon star stars sky sea river rain fire light dark blue red
    black white green gold silver summer winter spring autumn morning evening today tonight tomorrow yesterday
    forever never always again one two three four five six seven eight nine ten first last next good bad best
    better new old young little big great long short high low up down left right back away stay go going gone come
    coming run running walk walking dance dancing dancer love lover loving like want need know say tell talk feel
    feeling look see hear listen think dream dreams wish hope happy sad free real true wild crazy beautiful
    perfect strange simple sweet hot cold closer faster slower louder stronger start stop end ending begin
    beginning break broken fall falling rise rising fly flying hold holding take give let make something nothing
    everything anything someone nobody everybody thing things way ways part parts place side line lines story song
    number piece air power energy machine animals birds bird water ocean mountain valley garden flowers rose roses
    angel angels queen king prince american english french spanish german italian irish british african asian
    western eastern southern northern christmas sunday monday saturday friday european indian chinese japanese
    brazilian caribbean latin arabic i my me you your we our us he she they him her them who whom whose""".split()
)


def tokenise(lowered: str) -> list[str]:
    """Words of a text that is in lower case already: letters and digits, joined by apostrophes, hyphens or `&`."""
    return _WORD.findall(lowered)


def _music_words() -> frozenset[str]:
    phrases = [phrase for table in (WORDS, LOOSE_WORDS) for many in table.values() for phrase in many]
    phrases += [phrase for instrument in INSTRUMENTS.values() for phrase in instrument.phrases]
    phrases += [word for table in (MOOD_WORDS, ENERGY_WORDS, TEMPO_WORDS) for many in table.values() for word in many]
    phrases += [word for uses in QUALITIES.values() for many in uses.values() for word in many]
    phrases += [line.partition(" ")[0] for uses in LINES.values() for many in uses.values() for line in many]
    words = {word for phrase in (*phrases, _MORE_MUSIC) for word in tokenise(phrase.lower())}
    return frozenset(words - _FUNCTION - _AMBIGUOUS)


MUSIC_WORDS = _music_words()
COMMON_WORDS = _EVERYDAY | _FUNCTION | MUSIC_WORDS | _AMBIGUOUS
"""Words of plain descriptions. Where they are a song's name, only capitals can tell."""
