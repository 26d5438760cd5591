"""What is heard: instruments, how they are played, how they sound. Plain data for the grammar.

A noun phrase is singular and takes an article, unless it begins with `+` (plural: `+strings`) or `~` (no article,
singular verb: `~percussion`). A verb phrase begins with the verb's base form. `|` separates equals.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BASS_LINES", "FAMILY_PHRASES", "GROOVES", "INSTRUMENTS", "LINES", "QUALITIES", "Instrument"]


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

# Lines for a lead, by manner; `chords` are what the same instrument does behind another. The facts of a line stand
# after ` # `.
LINES: dict[str, dict[str, tuple[str, ...]]] = {
    "any": {
        "lead": (
            "play the main melody",
            "carry the melody",
            "take the lead",
            "play a simple tune",
            "play a memorable melody",
            "state the theme",
            "play a lyrical melody",
            "play a repeating motif",
            "play a winding melody",
            "take a long solo",
            "improvise freely",
            "play an answering phrase",
        ),
        "chords": ("play in the background", "add colour", "fill out the harmony", "answer the melody"),
    },
    "keys": {
        "lead": (
            "play a flowing melody",
            "play broken chords # texture:arpeggio",
            "play rippling arpeggios # texture:arpeggio",
        ),
        "chords": (
            "play block chords # texture:chords",
            "play wide chords # texture:chords",
            "comp in the background",
            "play rolling arpeggios # texture:arpeggio",
            "hold long chords # texture:chords",
            "hammer out chords # texture:chords energy:high",
        ),
    },
    "mallet": {
        "lead": ("play a twinkling melody", "chime a little tune", "play a ringing melody"),
        "chords": ("ring out gently # energy:calm", "sparkle in the background", "play a rippling pattern"),
    },
    "organ": {
        "lead": ("play a singing melody", "play a stately melody"),
        "chords": (
            "hold sustained chords # texture:chords",
            "swell behind the melody",
            "fill the space with chords # texture:chords",
        ),
    },
    "bellows": {
        "lead": ("play a swaying melody", "play a reedy melody"),
        "chords": ("pump out chords # texture:chords", "drone underneath", "breathe with the melody"),
    },
    "plucked": {
        "lead": (
            "pick out the melody",
            "play a nimble melody",
            "play a plucked riff",
            "pick rolling arpeggios # texture:arpeggio",
        ),
        "chords": (
            "strum along",
            "strum open chords # texture:chords",
            "pick arpeggios # texture:arpeggio",
            "play a syncopated rhythm",
            "strum a steady rhythm",
        ),
    },
    "distorted": {
        "lead": ("play a searing solo", "play a heavy riff", "wail over everything"),
        "chords": (
            "chug along # energy:high",
            "crunch out power chords # texture:chords energy:high",
            "drive the rhythm # energy:high",
        ),
    },
    "slide": {
        "lead": ("slide between notes", "play a crying melody", "glide through the melody"),
        "chords": ("glide in the background", "bend and sigh behind the melody"),
    },
    "harp": {
        "lead": ("play a cascading melody", "play flowing arpeggios # texture:arpeggio"),
        "chords": ("ripple in the background", "play glissandos", "roll gentle chords # texture:chords"),
    },
    "bowed": {
        "lead": (
            "play a soaring melody",
            "play long singing lines",
            "play a yearning melody",
            "weep over the chords # mood:sad",
        ),
        "chords": ("hold long notes", "play a counter-melody", "double the tune"),
    },
    "section": {
        "lead": ("soar", "play a sweeping melody", "rise in long lines"),
        "chords": (
            "swell in the background",
            "hold sustained chords # texture:chords",
            "add a lush backdrop",
            "sweep underneath",
        ),
    },
    "tremolo": {
        "lead": ("creep upwards", "shiver over low notes"),
        "chords": ("shiver in the background", "build underneath", "hover above"),
    },
    "pizzicato": {
        "lead": ("tiptoe through the melody", "play a plucked tune"),
        "chords": ("pluck along", "play short detached notes", "dance in the background"),
    },
    "choir": {
        "lead": ("sing the theme without words", "sing in rich harmony"),
        "chords": (
            "hum in the background",
            "hold long chords # texture:chords",
            "sing soft vowels underneath # energy:calm",
        ),
    },
    "brass": {
        "lead": ("play a bold melody", "sing out the theme", "play a smoky solo", "play a fanfare"),
        "chords": ("hold long notes", "play a counter-melody", "punctuate the phrases"),
    },
    "stabs": {
        "lead": ("blast out the theme # energy:high", "play punchy riffs"),
        "chords": ("punch in with stabs", "play tight hits", "answer with short riffs"),
    },
    "blown": {
        "lead": (
            "play a breathy melody",
            "play a graceful melody",
            "trill through the tune",
            "play a plaintive melody",
        ),
        "chords": ("play a counter-melody", "weave around the melody", "hold long notes"),
    },
    "synthlead": {
        "lead": ("play a catchy hook", "play a buzzing melody", "play a bright hook", "play a bouncing riff"),
        "chords": ("play short stabs", "buzz in the background", "double the hook"),
    },
    "sequence": {
        "lead": ("play a hypnotic pattern # texture:arpeggio", "run in endless sixteenth notes # texture:arpeggio"),
        "chords": ("pulse in the background # texture:arpeggio", "bubble underneath # texture:arpeggio"),
    },
    "pad": {
        "lead": ("drift slowly from chord to chord # texture:chords", "shift and shimmer"),
        "chords": (
            "fill the background",
            "shimmer underneath",
            "hold long, evolving chords # texture:chords",
            "add a soft haze",
        ),
    },
}

BASS_LINES: dict[str, tuple[str, ...]] = {
    "any": (
        "hold down the low end",
        "play the root notes",
        "anchor the harmony",
        "play a simple line",
        "follow the chords",
        "keep the pulse",
    ),
    "walking": ("walk underneath", "play a walking line", "walk steadily below"),
    "groove": ("play a syncopated line", "groove along", "lock in with the beat", "play a funky line", "bounce along"),
    "drive": ("pump steady eighth notes", "drive the song forward", "pulse on every beat", "rumble underneath"),
    "deep": ("throb underneath", "rumble in the low end", "hold long low notes"),
}

GROOVES: dict[str, tuple[str, ...]] = {
    "kit": ("keep a steady beat", "hold the groove", "lay down the beat", "keep time", "push the rhythm along"),
    "hands": ("keep the rhythm", "play a rolling rhythm", "add a lively pulse", "tap out a steady pattern"),
    "rock": ("pound out a straight rock beat", "hit hard on the backbeat", "drive the song with a solid backbeat"),
    "metal": ("race along with double kick", "hammer out blast beats", "thunder underneath"),
    "swing": (
        "swing lightly # swing:yes",
        "play a swing rhythm # swing:yes",
        "ride the cymbal with a swing feel # swing:yes",
    ),
    "house": (
        "keep a four-on-the-floor beat",
        "play a four-on-the-floor kick with offbeat hats",
        "pump a steady club beat",
    ),
    "break": ("race through a chopped breakbeat", "roll through a fast breakbeat", "chop up a breakbeat"),
    "boombap": ("knock with a boom-bap beat", "play a dusty boom-bap beat", "nod along with a laid-back beat"),
    "trap": ("rattle with rapid hi-hats", "hit with rolling hats and a hard snare"),
    "reggae": ("play a one-drop beat", "skank on the offbeat", "lean back on a one-drop groove"),
    "latin": ("play a syncopated Latin rhythm", "keep a clave pattern", "roll with a tropical groove"),
    "march": ("march along", "play a military cadence", "tap out a marching rhythm"),
    "funk": ("lay down a tight funk groove", "play a syncopated funk beat", "snap on the two and four"),
    "shuffle": ("play a shuffle", "roll along with a shuffle beat"),
    "epic": (
        "boom like thunder # energy:high",
        "pound out a cinematic rhythm # energy:high",
        "build to huge hits # energy:high",
    ),
    "soft": ("whisper in the background", "play softly with brushes", "keep a hushed beat"),
    "train": ("play a train beat", "shuffle along with a train beat"),
}

# Adjectives before an instrument, by manner, for calm and for energetic music; neither contradicts any mood.
QUALITIES: dict[str, dict[str, tuple[str, ...]]] = {
    "any": {
        "calm": ("soft", "gentle", "mellow", "warm", "delicate", "quiet", "tender", "hushed"),
        "high": ("loud", "bold", "driving", "powerful", "lively", "bright"),
        "plain": ("clear", "supple", "melodic", "reverberant", "crisp", "rich", "prominent", "distant"),
    },
    "keys": {"calm": ("felted", "sparse"), "high": ("pounding", "percussive"), "plain": ("rolling", "resonant")},
    "plucked": {"calm": ("lightly plucked",), "high": ("briskly strummed",), "plain": ("jangly", "woody", "ringing")},
    "distorted": {
        "calm": ("fuzzy", "hazy"),
        "high": ("crunchy", "screaming", "roaring", "chugging", "gritty", "shredding"),
        "plain": ("grainy", "thick", "fuzzy"),
    },
    "bowed": {"calm": ("sighing", "sweet"), "high": ("fiery", "frantic"), "plain": ("legato", "singing", "vibrant")},
    "section": {"calm": ("lush", "silky"), "high": ("sweeping", "soaring"), "plain": ("lush", "wide", "layered")},
    "brass": {"calm": ("smooth", "velvety"), "high": ("blaring", "brassy"), "plain": ("burnished", "round")},
    "stabs": {"calm": ("smooth",), "high": ("punchy", "blaring"), "plain": ("tight", "big")},
    "blown": {"calm": ("airy", "breathy"), "high": ("piercing", "fiery"), "plain": ("airy", "lyrical", "wistful")},
    "synthlead": {
        "calm": ("glassy", "smooth"),
        "high": ("buzzing", "piercing"),
        "plain": ("retro", "detuned", "bright"),
    },
    "sequence": {
        "calm": ("glassy", "slowly pulsing"),
        "high": ("relentless", "pulsing"),
        "plain": ("hypnotic", "plucky"),
    },
    "pad": {"calm": ("floating", "airy"), "high": ("swelling", "huge"), "plain": ("wide", "evolving", "shimmering")},
    "bass": {"calm": ("round", "soft"), "high": ("punchy", "growling"), "plain": ("thick", "smooth", "steady", "warm")},
    "kit": {
        "calm": ("soft", "light"),
        "high": ("punchy", "pounding", "crashing"),
        "plain": ("steady", "crisp", "tight"),
    },
    "hands": {"calm": ("light", "soft"), "high": ("thundering", "busy"), "plain": ("steady", "rolling", "earthy")},
    "mallet": {"calm": ("twinkling", "gentle"), "high": ("ringing", "bright"), "plain": ("chiming", "sparkling")},
    "choir": {
        "calm": ("ethereal", "hushed"),
        "high": ("powerful", "thundering"),
        "plain": ("angelic", "distant", "massed"),
    },
    "organ": {"calm": ("soft", "humming"), "high": ("blazing", "full"), "plain": ("swirling", "sustained")},
    "bellows": {"calm": ("wheezing", "soft"), "high": ("lively", "bright"), "plain": ("reedy", "nostalgic")},
    "slide": {"calm": ("weeping", "sighing"), "high": ("wailing", "gritty"), "plain": ("lonesome", "gliding")},
    "harp": {"calm": ("gentle", "dreamy"), "high": ("sparkling",), "plain": ("shimmering", "cascading")},
    "tremolo": {"calm": ("hushed",), "high": ("frantic",), "plain": ("shimmering",)},
    "pizzicato": {"calm": ("light", "soft"), "high": ("bouncy", "crisp"), "plain": ("playful", "nimble")},
}
