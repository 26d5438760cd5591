"""How instruments are played and how they sound: verb phrases and adjectives. Plain data for the grammar.

A verb phrase begins with the verb's base form.
"""

from __future__ import annotations

__all__ = ["BASS_LINES", "GROOVES", "LINES", "QUALITIES"]

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
