"""Instruments, as a listener would name them. Plain data for the grammar.

A noun phrase is singular and takes an article, unless it begins with `+` (plural: `+strings`) or `~` (no article,
singular verb: `~percussion`). `|` separates equals.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FAMILY_PHRASES", "INSTRUMENTS", "Instrument"]


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One instrument or section, as a listener would name it."""

    name: str
    fact: str
    """`instrument:` where the lexicon knows it, else its `family:`, or `drums:yes`."""
    manner: str
    """Which lines and qualities fit it: a key of LINES and QUALITIES."""
    phrases: tuple[str, ...]


def _table(text: str) -> dict[str, Instrument]:
    """Rows of `name; manner; phrases`, and where the lexicon has no such instrument its family or `=fact`."""
    table = {}
    for line in text.strip().splitlines():
        name, manner, phrases, *other = (part.strip() for part in line.split(";"))
        fact = f"instrument:{name}"
        if other:
            fact = other[0][1:] if other[0].startswith("=") else f"family:{other[0]}"
        table[name] = Instrument(name=name, fact=fact, manner=manner, phrases=tuple(phrases.split("|")))
    return table


INSTRUMENTS = _table("""
piano; keys; piano|grand piano|acoustic piano|upright piano
electric piano; keys; electric piano|Rhodes piano
harpsichord; keys; harpsichord
clavinet; keys; clavinet; keyboard
music box; mallet; music box
glockenspiel; mallet; glockenspiel|celesta
vibraphone; mallet; vibraphone
marimba; mallet; marimba
xylophone; mallet; xylophone
kalimba; mallet; kalimba|thumb piano
tubular bells; mallet; +tubular bells|+church bells|+chimes
steel drums; mallet; +steel drums|steel pan
metallophone; mallet; metallophone|bronze metallophone; bells
bronze bowl; mallet; bronze bowl|+Tibetan bowls; bells
synth bell; mallet; synth bell|+synth bells; synth
hammond organ; organ; Hammond organ|electric organ
church organ; organ; church organ|pipe organ
accordion; bellows; accordion
harmonium; bellows; harmonium; organ
bandoneon; bellows; bandoneon; organ
harmonica; blown; harmonica|blues harp
acoustic guitar; plucked; acoustic guitar|steel string guitar|nylon guitar|classical guitar
clean electric guitar; plucked; clean electric guitar|jazz guitar|clean guitar
distorted guitar; distorted; distorted electric guitar|overdriven guitar|distorted guitar
slide guitar; slide; slide guitar|lap steel guitar|pedal steel guitar; guitar
banjo; plucked; banjo
mandolin; plucked; mandolin; plucked
ukulele; plucked; ukulele; plucked
sitar; plucked; sitar
tambura; plucked; tambura|tanpura; plucked
oud; plucked; oud; plucked
koto; plucked; koto
guzheng; plucked; guzheng; plucked
shamisen; plucked; shamisen; plucked
bouzouki; plucked; bouzouki; plucked
kora; plucked; kora; plucked
lute; plucked; lute; plucked
harp; harp; harp|concert harp
violin; bowed; violin|solo violin|fiddle
viola; bowed; viola; strings
cello; bowed; cello
erhu; bowed; erhu; strings
string ensemble; section; string section|string orchestra|string ensemble
tremolo strings; tremolo; +tremolo strings|+trembling strings
pizzicato strings; pizzicato; +pizzicato strings
synth strings; section; +synth strings
choir; choir; choir|wordless choir
trumpet; brass; trumpet
muted trumpet; brass; muted trumpet
flugelhorn; brass; flugelhorn; brass
trombone; brass; trombone
tuba; brass; tuba
french horn; brass; French horn|+French horns
brass section; stabs; brass section|horn section
saxophone; blown; saxophone|tenor saxophone|alto saxophone
clarinet; blown; clarinet
oboe; blown; oboe
bassoon; blown; bassoon
flute; blown; flute
bansuri; blown; bansuri|bamboo flute; woodwind
ney flute; blown; ney; woodwind
recorder; blown; recorder
whistle; blown; tin whistle
pan flute; blown; pan flute
bagpipes; blown; +bagpipes
shakuhachi; blown; shakuhachi; woodwind
didgeridoo; blown; didgeridoo; woodwind
square lead; synthlead; square wave synth|8-bit synth|chiptune synth
saw lead; synthlead; sawtooth synth|synth lead
synth arpeggio; sequence; synth sequence|arpeggiated synth; synth
synth pad; pad; synth pad|ambient pad
theremin; slide; theremin; synth
acoustic bass; bass; upright bass|double bass|acoustic bass
electric bass; bass; bass guitar|electric bass
slap bass; bass; slap bass
synth bass; bass; synth bass
sub bass; bass; sub bass; =instrument:synth bass
drums; kit; drum kit|+drums|acoustic drum kit|+live drums; =drums:yes
brushed drums; kit; +brushed drums; =drums:yes
electronic drums; kit; drum machine|+electronic drums|+programmed drums; =kit:electronic
congas; hands; +congas|+bongos
hand percussion; hands; ~hand percussion; =drums:yes
tabla; hands; tabla; =drums:yes
djembe; hands; djembe; =drums:yes
cajon; hands; cajon; =drums:yes
frame drum; hands; frame drum|bodhran; =drums:yes
taiko; hands; +taiko drums|+war drums
snare drum; hands; marching snare|snare drum; =drums:yes
timpani; hands; +timpani|+kettle drums
shaker; hands; shaker
tambourine; hands; tambourine
hand claps; hands; +hand claps
""")

# How a part is called where only its family is heard.
FAMILY_PHRASES: dict[str, tuple[str, ...]] = {
    "keyboard": ("keyboard", "+keyboards"),
    "bells": ("+bells", "mallet instrument"),
    "organ": ("organ", "reed organ"),
    "guitar": ("guitar", "+guitars"),
    "plucked": ("plucked instrument", "plucked folk instrument"),
    "strings": ("+strings", "+bowed strings"),
    "synth": ("synthesizer", "synth", "+synths"),
    "brass": ("~brass", "+brass instruments"),
    "woodwind": ("woodwind", "+woodwinds", "wind instrument"),
    "bass": ("bass line", "bass"),
}
