"""How music feels, moves and is used: words for the grammar, each with the facts of the lexicon that it states."""

from __future__ import annotations

__all__ = [
    "DENSITY_WORDS",
    "ENERGY_WORDS",
    "FEELS",
    "MOOD_WORDS",
    "PACES",
    "PIECES",
    "RECORDINGS",
    "TEMPO_WORDS",
    "USES",
    "VOICES",
    "VOICE_LINES",
]

MOOD_WORDS: dict[str, tuple[str, ...]] = {
    "happy": ("happy", "cheerful", "joyful", "upbeat", "merry", "feel-good", "uplifting", "sunny", "carefree"),
    "playful": ("playful", "quirky", "bouncy", "comical", "childlike", "whimsical", "cheeky"),
    "sad": ("sad", "melancholic", "sorrowful", "mournful", "poignant", "melancholy", "wistful", "bittersweet"),
    "romantic": ("romantic", "sentimental", "passionate", "heartfelt", "emotional", "amorous"),
    "dreamy": ("dreamy", "peaceful", "ethereal", "atmospheric", "serene", "meditative", "weightless"),
    "dark": ("dark", "ominous", "eerie", "haunting", "mysterious", "brooding", "sinister", "shadowy"),
    "tense": ("tense", "suspenseful", "uneasy", "nervous", "anxious", "restless"),
    "aggressive": ("aggressive", "angry", "fierce", "harsh", "menacing", "furious"),
    "epic": ("epic", "heroic", "majestic", "dramatic", "grand", "triumphant", "stirring"),
    "groovy": ("groovy", "funky", "danceable", "toe-tapping"),
    "hypnotic": ("hypnotic", "pulsating", "repetitive", "mesmerising"),
}

FEELS = ("mood", "feel", "feeling", "atmosphere", "character", "vibe")

ENERGY_WORDS: dict[str, tuple[str, ...]] = {
    "calm": ("calm", "gentle", "mellow", "relaxing", "soothing", "laid-back", "quiet", "relaxed", "soft"),
    "high": ("energetic", "powerful", "lively", "intense", "spirited", "vigorous", "driving", "exciting"),
}

DENSITY_WORDS: dict[str, tuple[str, ...]] = {
    "sparse": ("sparse", "minimal", "spacious", "stripped-down"),
    "busy": ("dense", "busy", "intricate", "complex"),
}

TEMPO_WORDS: dict[str, tuple[str, ...]] = {
    "slow": ("slow", "unhurried", "slow-moving"),
    "medium": ("mid-tempo", "medium-tempo"),
    "fast": ("fast", "uptempo", "fast-paced", "quick"),
}

PACES: dict[str, tuple[str, ...]] = {
    "slow": ("a slow tempo", "a slow pace", "an unhurried pace"),
    "medium": ("a medium tempo", "a moderate tempo", "a moderate pace", "a walking pace"),
    "fast": ("a fast tempo", "a fast pace", "a quick pace", "a rapid tempo"),
}

PIECES: dict[str, tuple[str, ...]] = {
    "any": ("piece", "track", "tune", "number", "performance"),
    "slow": ("ballad", "air"),
    "sung": ("song", "song", "anthem"),
    "unsung": ("instrumental", "instrumental track"),
    "drums": ("groove", "jam"),
}

# What follows "for": by energy, mood or tempo.
USES: dict[str, tuple[str, ...]] = {
    "energy:calm": (
        *("a rainy afternoon", "falling asleep", "studying late at night", "reading by the window", "a quiet morning"),
        *(
            "a candlelit dinner",
            "yoga practice",
            "a long bath",
            "a slow Sunday breakfast",
            "winding down in the evening",
        ),
        *(
            "a museum at closing time",
            "watching the snow fall",
            "a train ride through the hills",
            "an empty hotel lobby",
        ),
    ),
    "energy:high": (
        *(
            "a workout",
            "a night out",
            "a packed dance floor",
            "a road trip",
            "the last mile of a run",
            "a sports montage",
        ),
        *("cleaning the kitchen", "a festival crowd", "a rooftop party", "a boxing ring entrance", "a bike race"),
    ),
    "mood:happy": (
        *(
            "a summer barbecue",
            "a day at the beach",
            "a birthday party",
            "a garden party",
            "a drive with the windows down",
        ),
        *("a travel video", "a picnic in the park", "the opening of a family film", "a wedding reception"),
    ),
    "mood:playful": (
        "a cartoon chase",
        "a cooking show",
        "a children's birthday",
        "a puppet theatre",
        "a silent comedy",
    ),
    "mood:sad": (
        "a farewell scene",
        "a lonely walk home",
        "the end of a long film",
        "a letter never sent",
        "a grey winter day",
    ),
    "mood:romantic": ("a first dance", "a wedding", "a dinner for two", "a walk along the river", "an anniversary"),
    "mood:dreamy": (
        "a planetarium show",
        "stargazing",
        "an underwater documentary",
        "a slow-motion scene",
        "a massage",
    ),
    "mood:dark": (
        "a crime series",
        "an abandoned house",
        "a midnight drive",
        "a ghost story",
        "a foggy street at night",
    ),
    "mood:tense": (
        "a chase scene",
        "a heist film",
        "a countdown",
        "a courtroom scene",
        "a scene where someone is followed",
    ),
    "mood:aggressive": (
        "a fight scene",
        "a mosh pit",
        "a skateboard video",
        "a weightlifting session",
        "a demolition derby",
    ),
    "mood:epic": ("a film trailer", "a coronation", "a battle scene", "a victory parade", "a mountain documentary"),
    "mood:groovy": ("a house party", "a roller disco", "a late-night bar", "a fashion show", "a block party"),
    "mood:hypnotic": (
        "a night drive",
        "coding until dawn",
        "a long-exposure film",
        "an art gallery",
        "a late club set",
    ),
}

# After "recorded" or "It sounds": a phrase and its fact.
RECORDINGS: tuple[tuple[str, str], ...] = (
    ("with plenty of reverb", "recording:reverberant"),
    ("in a large hall", "recording:reverberant"),
    ("in an echoing church", "recording:reverberant"),
    ("with vinyl crackle", "recording:noisy"),
    ("on a noisy old tape", "recording:noisy"),
    ("with a muffled, distant sound", "recording:muffled"),
    ("through a muddy old radio", "recording:muffled"),
    ("with a clean, modern mix", ""),
    ("in a small dry room", ""),
    ("close to the microphone", ""),
    ("live in front of an audience", ""),
    ("in one take at home", ""),
    ("with a wide stereo image", ""),
    ("with a polished studio sound", ""),
)

VOICES: dict[str, tuple[str, ...]] = {
    "male": (
        *(
            "male singer",
            "male vocalist",
            "male voice",
            "baritone male voice",
            "husky male voice",
            "smooth male vocalist",
        ),
        *("raspy male voice", "high tenor male voice"),
    ),
    "female": (
        *("female singer", "female vocalist", "female voice", "breathy female voice", "soulful female singer"),
        *("powerful female voice", "airy female voice", "smoky female voice"),
    ),
}

VOICE_LINES: dict[str, tuple[str, ...]] = {
    "any": ("sing the melody", "sing with feeling", "sing in long phrases", "tell a story in song", "sing of home"),
    "calm": ("sing softly", "sing close to the microphone", "murmur the verses", "hum along", "sing in a hushed tone"),
    "high": ("belt out the chorus", "sing at full strength", "shout the hook", "sing with fire"),
    "sad": ("sing of lost love", "sing with an ache", "sing a farewell"),
    "romantic": ("sing of love", "sing a serenade", "croon tenderly"),
    "happy": ("sing with a smile", "sing a catchy chorus", "sing of summer"),
    "groovy": ("sing a catchy hook", "sing in short rhythmic phrases"),
}
