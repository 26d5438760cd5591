"""What a piece of each style is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from labeling.recipe.composing.instruments import ACOUSTIC_KITS, ELECTRONIC_KITS

__all__ = ["STYLE_TABLE", "Style"]


@dataclass(frozen=True, kw_only=True)
class Style:
    """Choices are drawn evenly; shares are probabilities."""

    bpm: tuple[float, float]
    comp: tuple[str, ...]
    comp_patterns: tuple[str, ...]
    lead: tuple[str, ...]
    bass: tuple[str, ...] = ()
    bass_patterns: tuple[str, ...] = ()
    groove: str = ""
    """A key of `patterns.GROOVES`; empty for no drums."""
    drums_share: float = 1.0
    kits: tuple[int, ...] = (0, 8)
    percussion: tuple[str, ...] = ()
    """Hand percussion that may be laid over the groove."""
    lead_share: float = 0.85
    lead_pace: str = "mid"
    """`sparse`, `mid`, `busy` or `run`: how long melody notes are."""
    pad: tuple[str, ...] = ()
    pad_share: float = 0.0
    minor_share: float = 0.4
    scale: str = ""
    """A key of `theory.SCALES` that overrides major or minor."""
    meters: tuple[int, ...] = (4,)
    swing: float = 0.0
    velocity: tuple[float, float] = (75, 100)
    sevenths: bool = False
    moods: tuple[str, ...] = ()
    """Moods that every piece of this style has."""
    extras: tuple[str, ...] = ()
    """Further low percussion parts: timpani, taiko."""
    extras_share: float = 0.0
    singer_share: float = 0.0
    """How often the melody is sung."""
    tags: tuple[str, ...] = field(default=())
    """Facts besides moods that hold for every piece."""


_E = ELECTRONIC_KITS
_A = ACOUSTIC_KITS[:3]

# fmt: off
STYLE_TABLE: dict[str, Style] = {
    "rock": Style(
        bpm=(100, 150), comp=("distorted guitar", "clean electric guitar"), comp_patterns=("eighth", "power", "block"),
        bass=("electric bass",), bass_patterns=("eighth", "half"), groove="rock", kits=_A, velocity=(88, 112),
        lead=("distorted guitar", "hammond organ", "clean electric guitar"), lead_share=0.65, singer_share=0.25,
        percussion=("tambourine",),
    ),
    "metal": Style(
        bpm=(140, 195), comp=("distorted guitar",), comp_patterns=("chug",), bass=("electric bass",),
        bass_patterns=("eighth", "six"), groove="metal", kits=(16, 0), minor_share=0.95, velocity=(102, 125),
        lead=("distorted guitar",), lead_share=0.5, lead_pace="busy", moods=("aggressive",),
    ),
    "pop": Style(
        bpm=(92, 126), comp=("piano", "acoustic guitar", "synth pad", "clean electric guitar"),
        comp_patterns=("eighth", "block", "strum"), bass=("electric bass", "synth bass"),
        bass_patterns=("half", "eighth", "synco"), groove="pop", kits=(0, 8, 24), minor_share=0.25,
        lead=("saw lead", "piano", "clean electric guitar", "square lead"), pad=("synth strings", "string ensemble"),
        pad_share=0.5, singer_share=0.6, percussion=("hand claps", "shaker", "tambourine"),
    ),
    "jazz": Style(
        bpm=(110, 210), comp=("piano", "clean electric guitar"), comp_patterns=("stab",), bass=("acoustic bass",),
        bass_patterns=("walk",), groove="swing", drums_share=0.92, kits=(32, 40), swing=1.0, velocity=(65, 95),
        lead=("saxophone", "trumpet", "vibraphone", "piano", "clarinet", "trombone", "muted trumpet"),
        lead_pace="busy", sevenths=True,
    ),
    "bossa nova": Style(
        bpm=(115, 150), comp=("acoustic guitar", "electric piano"), comp_patterns=("bossa",), bass=("acoustic bass",),
        bass_patterns=("bossa",), groove="bossa", drums_share=0.88, kits=(0, 40), velocity=(60, 85), sevenths=True,
        lead=("flute", "saxophone", "vibraphone", "acoustic guitar"), percussion=("shaker",), singer_share=0.1,
    ),
    "waltz": Style(
        bpm=(120, 185), comp=("piano", "accordion", "string ensemble"), comp_patterns=("oompah",),
        bass=("acoustic bass", "cello"), bass_patterns=("root",), groove="waltz", drums_share=0.3, kits=(0, 40),
        meters=(3,), velocity=(65, 95), lead=("violin", "clarinet", "accordion", "flute", "piano"), lead_share=0.95,
        moods=("romantic",),
    ),
    "house": Style(
        bpm=(118, 130), comp=("piano", "saw lead", "electric piano"), comp_patterns=("offbeat", "stab"),
        bass=("synth bass",), bass_patterns=("offbeat",), groove="house", kits=_E, minor_share=0.5,
        lead=("saw lead", "square lead"), lead_share=0.4, pad=("synth pad", "synth strings"), pad_share=0.6,
        moods=("groovy",), percussion=("hand claps", "congas"), singer_share=0.1,
    ),
    "techno": Style(
        bpm=(126, 142), comp=("saw lead", "square lead", "synth pad"), comp_patterns=("six",), bass=("synth bass",),
        bass_patterns=("six",), groove="techno", kits=_E, minor_share=0.9, velocity=(90, 115), lead=("saw lead",),
        lead_share=0.25, pad=("synth pad",), pad_share=0.4, moods=("hypnotic",),
    ),
    "trance": Style(
        bpm=(132, 144), comp=("saw lead", "synth strings"), comp_patterns=("gate",), bass=("synth bass",),
        bass_patterns=("rolling",), groove="trance", kits=_E, minor_share=0.85, velocity=(85, 110),
        lead=("saw lead", "square lead"), lead_share=0.7, lead_pace="run", pad=("synth pad", "synth strings"),
        pad_share=0.8, moods=("hypnotic",),
    ),
    "drum and bass": Style(
        bpm=(165, 178), comp=("synth pad", "electric piano"), comp_patterns=("pad",), bass=("synth bass",),
        bass_patterns=("synco",), groove="dnb", kits=(24, 0), minor_share=0.85, velocity=(85, 110),
        lead=("saw lead", "electric piano"), lead_share=0.4, pad=("synth pad",), pad_share=0.5,
    ),
    "hip hop": Style(
        bpm=(75, 98), comp=("electric piano", "piano", "synth strings"), comp_patterns=("half", "stab"),
        bass=("synth bass", "electric bass"), bass_patterns=("synco", "long808"), groove="hiphop", kits=(25, 8),
        minor_share=0.8, swing=0.5, lead=("flute", "vibraphone", "electric piano"), lead_share=0.4,
        moods=("groovy",), percussion=("hand claps",),
    ),
    "classical piano": Style(
        bpm=(60, 150), comp=("piano",), comp_patterns=("alberti", "arp"), lead=("piano",), lead_share=1.0,
        meters=(4, 3), velocity=(45, 92), minor_share=0.45,
    ),
    "string quartet": Style(
        bpm=(60, 140), comp=("string ensemble", "cello"), comp_patterns=("pad", "eighth", "half"), bass=("cello",),
        bass_patterns=("root", "half"), lead=("violin",), lead_share=1.0, meters=(4, 3), velocity=(55, 95),
        minor_share=0.5,
    ),
    "baroque": Style(
        bpm=(80, 126), comp=("harpsichord",), comp_patterns=("arp", "eighth", "six"), bass=("cello", "bassoon"),
        bass_patterns=("alternate", "eighth"), lead=("violin", "oboe", "recorder", "flute", "trumpet", "harpsichord"),
        lead_share=0.9, lead_pace="run", meters=(4, 3), velocity=(70, 92), minor_share=0.45,
    ),
    "orchestral": Style(
        bpm=(70, 150), comp=("string ensemble",), comp_patterns=("pad", "eighth", "six"), bass=("cello",),
        bass_patterns=("root", "eighth"), groove="epic", drums_share=0.6, kits=(48,), minor_share=0.7,
        velocity=(75, 120), lead=("french horn", "trumpet", "brass section", "choir", "violin"), lead_share=0.9,
        pad=("choir", "brass section"), pad_share=0.7, extras=("timpani", "taiko"), extras_share=0.6,
    ),
    "choral": Style(
        bpm=(52, 84), comp=("choir",), comp_patterns=("chorale", "pad", "half"), lead=("choir",), lead_share=0.6,
        lead_pace="sparse", velocity=(55, 95), singer_share=0.15,
    ),
    "ambient": Style(
        bpm=(50, 78), comp=("synth pad", "choir", "synth strings"), comp_patterns=("pad",), lead_share=0.5,
        lead=("piano", "glockenspiel", "synth pad", "electric piano"), lead_pace="sparse", pad=("synth pad",),
        pad_share=0.8, velocity=(40, 70), minor_share=0.5, moods=("dreamy",), tags=("texture:sustained",),
    ),
    "country": Style(
        bpm=(95, 140), comp=("acoustic guitar", "banjo"), comp_patterns=("strum", "oompah"), kits=(0, 8),
        bass=("acoustic bass", "electric bass"), bass_patterns=("alternate",), groove="country", drums_share=0.8,
        lead=("violin", "banjo", "harmonica", "clean electric guitar"), minor_share=0.1, velocity=(72, 100),
        singer_share=0.15,
    ),
    "reggae": Style(
        bpm=(65, 88), comp=("clean electric guitar", "hammond organ"), comp_patterns=("skank",),
        bass=("electric bass",), bass_patterns=("dub", "synco"), groove="reggae", minor_share=0.5,
        lead=("hammond organ", "trumpet", "trombone", "saxophone"), lead_share=0.5, tags=("feel:syncopated",),
        singer_share=0.15, percussion=("shaker",),
    ),
    "funk": Style(
        bpm=(92, 118), comp=("clean electric guitar", "electric piano"), comp_patterns=("scratch",),
        bass=("slap bass", "electric bass"), bass_patterns=("funk",), groove="funk", minor_share=0.7,
        lead=("brass section", "saxophone", "hammond organ"), lead_share=0.65, lead_pace="busy", sevenths=True,
        velocity=(85, 110), moods=("groovy",), tags=("feel:syncopated",), percussion=("tambourine", "congas"),
    ),
    "disco": Style(
        bpm=(112, 128), comp=("piano", "clean electric guitar", "string ensemble"), groove="disco",
        comp_patterns=("offbeat", "scratch"), bass=("electric bass",), bass_patterns=("octave",), minor_share=0.5,
        lead=("string ensemble", "brass section", "saw lead"), lead_share=0.7, pad=("string ensemble",),
        pad_share=0.5, velocity=(85, 110), moods=("groovy",), percussion=("tambourine", "hand claps"),
    ),
    "lullaby": Style(
        bpm=(55, 85), comp=("music box", "harp", "glockenspiel"), comp_patterns=("arp", "alberti"), minor_share=0.1,
        lead=("music box", "glockenspiel", "flute", "recorder"), lead_share=0.9, meters=(3, 4), velocity=(40, 70),
        moods=("dreamy",),
    ),
    "celtic folk": Style(
        bpm=(95, 135), comp=("harp", "acoustic guitar"), comp_patterns=("arp", "strum"), groove="celtic",
        bass=("cello", "acoustic bass"), bass_patterns=("root",), drums_share=0.6,
        lead=("flute", "violin", "recorder", "bagpipes", "whistle"), lead_share=1.0, lead_pace="busy", meters=(6,),
        velocity=(65, 100), scale="dorian",
    ),
    "chiptune": Style(
        bpm=(120, 178), comp=("square lead",), comp_patterns=("six", "arp"), bass=("synth bass", "square lead"),
        bass_patterns=("octave", "eighth"), groove="rock", drums_share=0.6, kits=_E, velocity=(85, 105),
        lead=("square lead",), lead_share=1.0, lead_pace="busy",
    ),
    "blues": Style(
        bpm=(65, 122), comp=("piano", "clean electric guitar", "hammond organ"), comp_patterns=("shuffle", "stab"),
        bass=("electric bass", "acoustic bass"), bass_patterns=("walk",), groove="shuffle", drums_share=0.9,
        lead=("clean electric guitar", "harmonica", "saxophone", "distorted guitar"), lead_share=0.92, swing=1.0,
        velocity=(70, 100), scale="blues", sevenths=True, singer_share=0.1,
    ),
    "march": Style(
        bpm=(105, 125), comp=("brass section", "french horn"), comp_patterns=("oompah",), bass=("tuba",),
        bass_patterns=("alternate",), groove="march", kits=(48, 0), minor_share=0.15, velocity=(85, 112),
        lead=("trumpet", "clarinet", "brass section", "flute", "trombone"), lead_share=1.0,
    ),
    "latin": Style(
        bpm=(95, 128), comp=("piano", "acoustic guitar"), comp_patterns=("montuno",), groove="latin",
        bass=("acoustic bass", "electric bass"), bass_patterns=("bossa",), minor_share=0.55, velocity=(80, 110),
        lead=("trumpet", "brass section", "flute", "trombone"), moods=("groovy",), percussion=("shaker",),
        tags=("feel:syncopated",),
    ),
    "church": Style(
        bpm=(55, 85), comp=("church organ",), comp_patterns=("pad", "chorale"), lead_share=0.55, velocity=(60, 95),
        lead=("choir", "church organ", "tubular bells"), pad=("choir",), pad_share=0.4,
    ),
    "ragtime": Style(
        bpm=(90, 130), comp=("piano",), comp_patterns=("stride",), lead=("piano",), lead_share=1.0, lead_pace="busy",
        minor_share=0.1, velocity=(75, 100), tags=("feel:syncopated",), moods=("playful",),
    ),
    "polka": Style(
        bpm=(112, 136), comp=("accordion",), comp_patterns=("polka",), bass=("tuba", "acoustic bass"),
        bass_patterns=("polka",), groove="polka", drums_share=0.75, minor_share=0.05, velocity=(80, 105),
        lead=("accordion", "clarinet", "trumpet"), lead_share=1.0, lead_pace="busy", moods=("happy",),
    ),
    "tango": Style(
        bpm=(108, 132), comp=("accordion", "piano"), comp_patterns=("marcato", "habanera"), bass=("acoustic bass",),
        bass_patterns=("habanera", "polka"), lead=("violin", "accordion", "piano"), lead_share=1.0,
        minor_share=0.97, scale="harmonic minor", velocity=(75, 105), moods=("romantic",),
    ),
    "indian": Style(
        bpm=(70, 120), comp=("harp", "sitar"), comp_patterns=("drone",), lead=("sitar", "flute", "violin"),
        lead_share=1.0, lead_pace="busy", groove="indian", drums_share=0.7, scale="bhairav", velocity=(70, 98),
        moods=("hypnotic",),
    ),
    "suspense": Style(
        bpm=(60, 110), comp=("tremolo strings",), comp_patterns=("pad", "half"), bass=("cello", "acoustic bass"),
        bass_patterns=("root", "eighth"), lead=("piano", "french horn", "violin", "tubular bells", "bassoon", "choir"),
        lead_share=0.7, lead_pace="sparse", minor_share=1.0, scale="cluster", velocity=(55, 105),
        pad=("choir", "synth pad"), pad_share=0.4, extras=("timpani", "taiko"), extras_share=0.4,
        moods=("tense", "dark"),
    ),
}
# fmt: on
