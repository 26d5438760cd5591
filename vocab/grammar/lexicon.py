"""Music facts and the words people use for them.

A fact is a string `group:value`, such as `style:jazz` or `tempo:slow`. The bundled model is trained on captions that
state facts (`labeling.recipe`), the bundled vocabulary states the same facts in its own sentences, and an evaluation
asks whether what a caption states is so. Only facts that the composer of `labeling.recipe` truly realises are here;
key, meter and articulation are not, because a trial found that a small model does not learn them.

`WORDS` gives phrases that mean a fact, each phrase belonging to exactly one fact; `loose_words` has those that only
come near one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache

__all__ = [
    "FACTS",
    "FAMILIES",
    "FAMILY_OF",
    "GENRE_OF",
    "STYLES",
    "WORDS",
    "group_of",
    "implied_by",
    "stated_facts",
    "with_implied",
]

_INSTRUMENTS: dict[str, tuple[str, tuple[str, ...]]] = {  # name -> family, phrases
    "piano": ("keyboard", ("piano", "acoustic piano", "grand piano")),
    "electric piano": ("keyboard", ("electric piano", "rhodes", "e-piano", "rhodes piano")),
    "harpsichord": ("keyboard", ("harpsichord", "cembalo")),
    "music box": ("bells", ("music box", "musical box")),
    "glockenspiel": ("bells", ("glockenspiel", "celesta")),
    "vibraphone": ("bells", ("vibraphone", "vibes")),
    "marimba": ("bells", ("marimba",)),
    "xylophone": ("bells", ("xylophone",)),
    "tubular bells": ("bells", ("tubular bells", "church bells", "chimes")),
    "steel drums": ("bells", ("steel drums", "steel pan", "steelpan", "steel drum")),
    "kalimba": ("bells", ("kalimba", "thumb piano", "mbira")),
    "hammond organ": ("organ", ("hammond organ", "electric organ", "rock organ", "hammond")),
    "church organ": ("organ", ("church organ", "pipe organ")),
    "accordion": ("organ", ("accordion", "squeezebox")),
    "harmonica": ("organ", ("harmonica", "mouth organ", "blues harp")),
    "acoustic guitar": ("guitar", ("acoustic guitar", "nylon guitar", "steel string guitar", "classical guitar")),
    "clean electric guitar": ("guitar", ("clean electric guitar", "clean guitar", "jazz guitar")),
    "distorted guitar": (
        "guitar",
        ("distorted guitar", "distorted electric guitar", "overdriven guitar", "heavy guitar", "fuzzy guitar"),
    ),
    "harp": ("plucked", ("harp", "concert harp")),
    "banjo": ("plucked", ("banjo",)),
    "sitar": ("plucked", ("sitar",)),
    "koto": ("plucked", ("koto", "japanese zither", "zither")),
    "violin": ("strings", ("violin", "fiddle", "solo violin")),
    "cello": ("strings", ("cello", "solo cello")),
    "pizzicato strings": ("strings", ("pizzicato strings", "pizzicato", "plucked violins")),
    "tremolo strings": ("strings", ("tremolo strings", "trembling strings", "shivering strings")),
    "string ensemble": ("strings", ("string ensemble", "string section", "string orchestra", "violins")),
    "choir": ("voice", ("choir", "choir voices", "vocal choir", "wordless choir", "chorus of voices")),
    "singer": ("voice", ("singer", "singing voice", "lead vocals", "vocalist", "vocal melody")),
    "trumpet": ("brass", ("trumpet", "trumpets")),
    "muted trumpet": ("brass", ("muted trumpet", "harmon mute trumpet")),
    "trombone": ("brass", ("trombone", "trombones")),
    "tuba": ("brass", ("tuba",)),
    "french horn": ("brass", ("french horn", "french horns")),
    "brass section": ("brass", ("brass section", "brass ensemble", "horn section")),
    "saxophone": ("woodwind", ("saxophone", "sax", "tenor saxophone", "alto saxophone", "tenor sax")),
    "oboe": ("woodwind", ("oboe",)),
    "bassoon": ("woodwind", ("bassoon",)),
    "clarinet": ("woodwind", ("clarinet",)),
    "flute": ("woodwind", ("flute", "flutes", "concert flute")),
    "recorder": ("woodwind", ("recorder", "recorder flute")),
    "pan flute": ("woodwind", ("pan flute", "pan pipes", "panpipes")),
    "whistle": ("woodwind", ("whistle", "whistling", "tin whistle")),
    "bagpipes": ("woodwind", ("bagpipes", "bagpipe")),
    "square lead": ("synth", ("square lead", "square wave synth", "8-bit synth", "chiptune synth")),
    "saw lead": ("synth", ("saw lead", "sawtooth synth", "synth lead", "buzzing synth lead")),
    "synth pad": ("synth", ("synth pad", "ambient pad", "warm pad", "pad", "pads")),
    "synth strings": ("synth", ("synth strings", "synthetic strings")),
    "acoustic bass": ("bass", ("acoustic bass", "double bass", "upright bass")),
    "electric bass": ("bass", ("electric bass", "bass guitar", "e-bass", "electric bass guitar")),
    "slap bass": ("bass", ("slap bass", "slapped bass")),
    "synth bass": ("bass", ("synth bass", "electronic bass", "sub bass")),
    "timpani": ("percussion", ("timpani", "kettle drums")),
    "congas": ("percussion", ("congas", "bongos", "conga drums")),
    "tambourine": ("percussion", ("tambourine",)),
    "shaker": ("percussion", ("shaker", "shakers", "maracas")),
    "hand claps": ("percussion", ("hand claps", "claps", "handclaps")),
    "taiko": ("percussion", ("taiko", "big drums", "war drums")),
}

_FAMILIES: dict[str, tuple[str, ...]] = {
    "keyboard": ("keyboard", "keyboards", "keys", "keyboard instrument"),
    "bells": ("bells", "mallets", "mallet instrument", "tuned percussion", "bell sounds"),
    "organ": ("organ", "reed organ", "organ sound"),
    "guitar": ("guitar", "guitars", "six-string"),
    "plucked": ("plucked strings", "plucked instrument", "plucked folk instrument"),
    "strings": ("strings", "string instruments", "bowed strings", "orchestral strings"),
    "synth": ("synth", "synthesizer", "synthesiser", "synths", "synthesizers", "synth sounds"),
    "voice": ("voice", "voices", "vocals", "vocal", "human voice"),
    "brass": ("brass", "brass instruments", "horns", "horn"),
    "woodwind": ("woodwind", "woodwinds", "wind instrument", "wind instruments", "reeds"),
    "bass": ("bass", "bass line", "bassline", "basslines"),
}

_STYLES: dict[str, tuple[str, tuple[str, ...]]] = {  # name -> broad genre or "", phrases
    "rock": ("", ("rock", "rock music", "rock band", "classic rock", "hard rock", "rock song")),
    "metal": ("", ("metal", "heavy metal", "thrash metal", "metal music")),
    "pop": ("", ("pop", "pop music", "pop song", "soft pop")),
    "jazz": ("", ("jazz", "swing jazz", "jazz combo", "jazz music", "bebop")),
    "bossa nova": ("", ("bossa nova", "bossa", "brazilian bossa nova")),
    "waltz": ("classical", ("waltz", "ballroom waltz", "viennese waltz")),
    "house": ("electronic", ("house", "house music", "deep house", "club house")),
    "techno": ("electronic", ("techno", "club techno", "techno music")),
    "trance": ("electronic", ("trance", "trance music", "uplifting trance")),
    "drum and bass": ("electronic", ("drum and bass", "jungle", "drum n bass", "dnb", "breakbeat")),
    "hip hop": ("", ("hip hop", "hip-hop", "boom bap", "rap beat", "hip hop beat")),
    "classical piano": ("classical", ("classical piano", "piano sonata", "classical piano solo")),
    "string quartet": ("classical", ("string quartet", "chamber music", "chamber strings")),
    "baroque": ("classical", ("baroque", "baroque music", "baroque harpsichord")),
    "orchestral": ("classical", ("orchestral", "orchestra", "symphonic", "orchestral music", "film score", "symphony")),
    "choral": ("classical", ("choral", "choral music", "a cappella", "acapella", "gregorian chant", "hymn choir")),
    "ambient": ("electronic", ("ambient", "ambient music", "soundscape", "new age")),
    "country": ("folk", ("country", "country music", "bluegrass", "western")),
    "reggae": ("", ("reggae", "dub reggae", "reggae music", "roots reggae")),
    "funk": ("", ("funk", "funk groove", "funk music")),
    "disco": ("", ("disco", "disco music", "seventies disco")),
    "lullaby": ("", ("lullaby", "cradle song", "bedtime music", "music box lullaby")),
    "celtic folk": ("folk", ("celtic folk", "celtic", "irish folk", "folk jig", "medieval folk", "irish music")),
    "chiptune": ("electronic", ("chiptune", "8-bit music", "8-bit", "video game music", "retro game music")),
    "blues": ("", ("blues", "blues shuffle", "blues music", "twelve-bar blues")),
    "march": ("", ("march", "marching band", "military march", "brass band")),
    "latin": ("", ("latin", "latin music", "salsa", "mambo")),
    "church": ("", ("church music", "sacred music", "church hymn", "hymn", "worship")),
    "ragtime": ("", ("ragtime", "rag", "stride piano", "saloon piano")),
    "polka": ("folk", ("polka", "oompah music", "bavarian folk")),
    "tango": ("", ("tango", "argentine tango", "tango music")),
    "indian": ("folk", ("indian", "indian classical", "raga", "indian music", "indian raga")),
    "suspense": ("", ("suspense music", "horror music", "horror score", "thriller score", "suspense score")),
}

_OTHER: dict[str, tuple[str, ...]] = {
    "genre:electronic": ("electronic", "electronic music", "electro", "edm", "electronica", "electronic dance music"),
    "genre:classical": ("classical", "classical music", "art music"),
    "genre:folk": ("folk", "folk music", "traditional", "folk song", "traditional folk"),
    "palette:acoustic": ("acoustic", "acoustic instruments", "unplugged", "all acoustic"),
    "tempo:slow": ("slow", "slow tempo", "slow paced", "at a slow pace", "unhurried", "slow-moving"),
    "tempo:medium": ("medium tempo", "mid-tempo", "moderate tempo", "at a moderate pace", "midtempo", "walking pace"),
    "tempo:fast": ("fast", "fast tempo", "uptempo", "fast paced", "at a fast pace", "quick", "up-tempo", "rapid"),
    "drums:yes": ("drums", "with drums", "drum beat", "drum kit", "drumming", "beat", "steady beat", "percussion"),
    "drums:no": ("no drums", "without drums", "no percussion", "drumless", "without percussion", "no beat"),
    "kit:acoustic": ("acoustic drums", "acoustic drum kit", "live drums", "acoustic drumming"),
    "kit:electronic": ("electronic drums", "drum machine", "digital drums", "programmed drums", "electronic beat"),
    "ensemble:solo": ("solo", "solo performance", "unaccompanied", "single instrument", "no other instruments"),
    "ensemble:duo": ("duo", "duet", "two instruments"),
    "ensemble:group": ("full band", "ensemble", "full arrangement", "band", "group of instruments"),
    "ensemble:drums": ("drum solo", "drums only", "drum loop", "percussion solo", "only drums"),
    "energy:calm": (
        *("calm", "soft", "quiet", "gentle", "mellow", "relaxing", "soothing", "calming", "easygoing", "tranquil"),
        *("laid back", "chill", "relaxed", "softly played", "tender"),
    ),
    "energy:high": (
        *("energetic", "loud", "powerful", "intense", "lively", "spirited", "exciting", "vigorous", "vibrant"),
        *("high energy", "forceful", "full of energy", "driving"),
    ),
    "density:sparse": ("sparse", "minimal", "few notes", "minimalist", "spacious", "simple and sparse"),
    "density:busy": ("busy", "dense", "many notes", "complex", "busy and full", "intricate"),
    "register:low": ("low-pitched", "low register", "deep register", "low pitched", "deep notes", "deep"),
    "register:high": ("high-pitched", "high register", "high pitched", "high notes", "bright and high"),
    "mood:happy": ("happy", "cheerful", "joyful", "upbeat", "fun", "merry", "positive", "feel-good", "uplifting"),
    "mood:playful": ("playful", "quirky", "comical", "bouncy", "animated", "funny", "childlike", "cartoonish"),
    "mood:sad": ("sad", "melancholic", "sorrowful", "mournful", "nostalgic", "gloomy", "poignant", "melancholy"),
    "mood:romantic": ("romantic", "sentimental", "emotional", "passionate", "heartfelt", "expressive", "love song"),
    "mood:dreamy": ("dreamy", "peaceful", "ethereal", "meditative", "atmospheric", "floating", "serene"),
    "mood:dark": ("dark", "sinister", "ominous", "eerie", "haunting", "mysterious", "spooky", "scary", "brooding"),
    "mood:tense": ("tense", "suspenseful", "suspense", "nervous", "uneasy", "anxious", "dramatic tension"),
    "mood:aggressive": ("aggressive", "heavy", "angry", "harsh", "fierce", "brutal", "hard-hitting"),
    "mood:epic": ("epic", "heroic", "majestic", "cinematic", "dramatic", "grand", "triumphant", "monumental"),
    "mood:groovy": ("groovy", "funky", "danceable", "dance music", "catchy groove", "groovy bass line", "groove"),
    "mood:hypnotic": ("hypnotic", "repetitive", "pulsating", "looping", "pulsing", "trance-like"),
    "texture:arpeggio": ("arpeggios", "arpeggiated", "arpeggio", "broken chords", "rolling arpeggios"),
    "texture:chords": ("chords", "block chords", "chord progression", "strummed chords"),
    "texture:melody": ("single melody line", "melody alone", "unaccompanied melody", "lone melody"),
    "texture:sustained": ("sustained tones", "long held notes", "long notes", "droning", "drone", "sustained chords"),
    "feel:swing": ("swing", "swing feel", "swung rhythm", "swinging", "shuffle", "shuffle feel"),
    "feel:syncopated": ("syncopated", "off-beat", "offbeat rhythm", "syncopated rhythm"),
    "voice:sung": ("singing", "sung", "sung vocals", "melodic singing", "vocal song", "someone singing"),
    "voice:spoken": ("speech", "talking", "spoken voice", "spoken word", "people talking", "narration", "speaking"),
    "voice:male": ("male voice", "male vocal", "male singer", "man's voice", "male vocals", "male vocalist"),
    "voice:female": ("female voice", "female vocal", "female singer", "woman's voice", "female vocals"),
    "voice:no": ("instrumental", "no vocals", "no voices", "no singer", "instrumental music", "without vocals"),
    "sound:noise": ("noise", "white noise", "hissing noise", "static", "rushing noise", "not music, noise"),
    "sound:hum": ("humming noise", "mains hum", "buzzing hum", "engine drone", "machine hum", "motor noise"),
    "sound:clicks": ("clicks", "clicking", "ticking", "tapping sounds", "clock ticking", "knocking"),
    "sound:beeps": ("beeps", "beeping", "alarm", "siren", "test tone", "electronic beeps"),
    "sound:nature": ("rain", "sea waves", "water", "wind noise", "nature sounds", "ocean waves"),
    "sound:birds": ("birds", "birds chirping", "chirping", "birdsong", "tweeting birds"),
    "sound:applause": ("applause", "crowd cheering", "clapping crowd", "audience applause", "people clapping"),
    "sound:non-music": ("sound effects", "not music", "no music", "sound effect", "noises", "field recording"),
    "recording:noisy": ("noisy", "low quality", "poor audio quality", "hissing", "vinyl crackle", "bad audio quality"),
    "recording:muffled": ("muffled", "muddy", "boxy", "dull sounding", "low fidelity"),
    "recording:reverberant": ("reverberant", "reverb", "echoing", "large hall", "echo", "cavernous", "spacious reverb"),
}

FAMILIES: tuple[str, ...] = tuple(_FAMILIES)
STYLES: tuple[str, ...] = tuple(_STYLES)

FAMILY_OF: dict[str, str] = {name: family for name, (family, _) in _INSTRUMENTS.items()}
"""Instrument name -> family. Percussion has no `family:` fact of its own: it is stated through `drums:`."""

GENRE_OF: dict[str, str] = {name: genre for name, (genre, _) in _STYLES.items() if genre}
"""Style -> broad genre, where it has one."""


def _lead_words(phrases: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(form.format(p) for p in phrases[:2] for form in ("{} lead", "{} playing the melody", "lead {}"))


def _all_words() -> dict[str, tuple[str, ...]]:
    words = {f"style:{name}": phrases for name, (_, phrases) in _STYLES.items()}
    for name, (family, phrases) in _INSTRUMENTS.items():
        words[f"instrument:{name}"] = phrases
        if family not in ("bass", "percussion"):
            words[f"lead:{name}"] = _lead_words(phrases)
    words |= {f"family:{name}": phrases for name, phrases in _FAMILIES.items()}
    return words | _OTHER


WORDS: dict[str, tuple[str, ...]] = _all_words()
"""Fact -> phrases that state it, the plainest first. No phrase states two facts."""

FACTS: tuple[str, ...] = tuple(sorted(WORDS))
"""Every fact there is, sorted: the order of multi-hot vectors."""


def group_of(fact: str) -> str:
    """`tempo` of `tempo:slow`."""
    return fact.partition(":")[0]


def implied_by(fact: str) -> tuple[str, ...]:
    """What follows from one fact: a lead violin is a violin, a violin is a string instrument, house is electronic."""
    group, _, value = fact.partition(":")
    if group == "lead":
        return (f"instrument:{value}", *implied_by(f"instrument:{value}"))
    if group == "instrument":
        family = FAMILY_OF[value]
        sung = ("voice:sung",) if value == "singer" else ()
        return (f"family:{family}", *sung) if family in _FAMILIES else ()
    if group == "style" and value in GENRE_OF:
        return (f"genre:{GENRE_OF[value]}",)
    if group == "sound" and value != "non-music":
        return ("sound:non-music",)
    if group == "kit":
        return ("drums:yes",)
    return ()


def with_implied(facts: Iterable[str]) -> frozenset[str]:
    """The facts and all that follows from them."""
    found = set(facts)
    for fact in tuple(found):
        found.update(implied_by(fact))
    return frozenset(found)


@cache
def _phrase_table() -> tuple[dict[str, str], re.Pattern[str]]:
    table = {phrase: fact for fact, phrases in WORDS.items() for phrase in phrases}
    longest_first = sorted(table, key=lambda p: (-len(p), p))
    return table, re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, longest_first)) + r")(?![\w-])")


def stated_facts(text: str) -> tuple[str, ...]:
    """Facts that a text states by phrases of `WORDS`, in their order; the longest phrase wins where two overlap.

    Reads phrases, not grammar: "not a violin" states a violin.
    """
    table, pattern = _phrase_table()
    return tuple(dict.fromkeys(table[m.group()] for m in pattern.finditer(" ".join(text.lower().split()))))
