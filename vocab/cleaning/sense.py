"""Nonsense that has the words of music: what small language models write, found by what cannot be.

Each rule looks for one kind of it; `why_nonsense` names the first. They are made to let good sentences through: of the
sentences that people wrote for MusicCaps they take two in a hundred (docs/vocabularies.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from vocab.cleaning.words_common import COMMON_WORDS, MUSIC_WORDS

__all__ = ["SCENES", "why_nonsense"]

_SINGER = r"(?:singer|vocalist|rapper|soloist|frontman|narrator|guitarist|drummer|she|he)"
_PLAYABLE = r"""(?:guitar|bass|piano|drums?|saxophone|sax|trumpet|violin|synth|keyboard|organ|brass|bassline|drum
    machine|flute|cello|banjo|harmonica|horn|string)s?"""
_ABOUT = re.compile(
    r"""\b(?:about|telling\s+of)\s+(?:how|being|life
    |love|death|losing|finding|someone|somebody|people|two|god|jesus|freedom|war|peace|growing|falling)\b
    |\b(?:song|ballad|track|tune|piece|anthem|story|tale|lament|poem|ode)\s+(?:is\s+)?(?:all\s+)?about\b
    |\blyrics?\s+(?:talks?|tells?|speaks?|says?|describes?|to\s+the|of\s+the|deal\s+with|(?:are|is)\s+(?:an?|the
    |by|from))\b
    |\b(?:tells?|telling|sings?|singing)\s+(?:a|the|his|her|their)\s+(?:\w+\s+)?(?:story|tale|life)\s+(?:of|about
    |as)\b
    |\btribute\s+to\b|\bdedicated\s+to\b|\binspired\s+by\b|\bbased\s+on\s+(?:a|the)\s+(?:true|book|novel|film
    |movie|story)
    |\bthe\s+story\s+of\b|\ba\s+(?:love\s+)?story\s+(?:about|of)\b|\bsays\s+(?:that\s+)?(?:it|he|she|the)\b
    |\b(?:passed\s+down|reminds?\s+us|make[sd]?\s+famous|legendary|history\s+of|the\s+world\s+(?:of|outside))\b""",
    re.IGNORECASE | re.VERBOSE,
)
_CAREER = re.compile(
    r"""\b(?:grammy|billboard|hot\s+100|chart(?:s|ed|-topping)?|number[\s-]one|no\.\s*1|top\s+(?:10|ten|40|forty)
    |best-?sell
    \w+|awards?|nominat\w+|certified|platinum|gold\s+record|released?|debut|discography|record\s+label
    |hit\s+(?:song|single
    |album)|(?:greatest|biggest)\s+hits?|album|co-?wrote|written\s+by|composed\s+by|produced\s+by|performed\s+by
    \s+(?!a\b|an\b|the\b|two\b|three\b|male|female|one\b|several|multiple|someone|people|children)|born
    |birthplace|hometown
    |grew\s+up|recorded\s+(?:at|for)\s+(?!home|an?\b|the\s+same)|peaked|million|copies\s+(?:sold|worldwide|in)|reinterpreted|best\s+known
    |famous\s+(?:for|song|singer)
    |masterpiece|all[\s-]time|of\s+the\s+(?:year|century)|members?\s+of|wrote|starring|soundtrack\s+(?:to
    |of)\s+the\s+(?:film
    |movie)|(?:film|movie)\s+(?:trailer\s+with|cut\b|adaptation)|fans?\b(?=\s+(?:of|will|love))|(?:cover
    |remake)\s+of\s+(?!an?\b)|original\s+(?:song|version))\b""",
    re.IGNORECASE | re.VERBOSE,
)
_PERSON = re.compile(
    rf"""\b{_SINGER}(?:['’]s\s+\w+)?\s+(?:is|was)\s+(?:not\b|never\b|on\s+stage|(?:really\s+)?(?:beautiful|sexy
    |handsome
    |famous|young|old|happy\s+to|big|huge|small|tall|pretty|dead|good[\s-]looking|old-school|blind
    |drunk)\b(?!\s+voice)
    |(?:also\s+)?(?:an?|the|one|both)\s+(?!(?:\w+[\s-]+){{0,3}}(?:voice|tone|tenor|baritone|soprano|alto|falsetto
    |range|register
    |female|male|woman|man|child|kid|girl|boy|lady|whisper|shout|growl|scream|croon|belter|bit|little
    |lot\s+of)\b))""",
    re.IGNORECASE | re.VERBOSE,
)
_SINGER_IS = re.compile(
    r"^(?:the\s+)?(?:(?:male|female|lead|main)\s+)*(?:singer|vocalist|rapper|soloist|frontman|she|he)\s+is\b",
    re.IGNORECASE,
)
_CANNOT_PLAY = re.compile(
    rf"""\b(?:singer|vocalist|voice|rapper|vocals?)\s+(?:is|are)\s+(?:an?\s+|the\s+)?(?:[\w-]+\s+)?{_PLAYABLE}\b(?!-)
    |\b(?:guitar|bass|piano|drums?|trumpet|saxophone)\s+(?:is|are)\s+(?:an?\s+
    |the\s+)(?:[\w-]+\s+){{0,2}}{_PLAYABLE}\b
    |\b(?:sings?|shouts|raps)\s+(?:an?\s+|the\s+|on\s+an?\s+)(?:[\w,-]+\s+){{0,1}}{_PLAYABLE}\b(?!\s+(?:pop|rock|ballad|song|melody|tune|track|hook|riff))
    |\b{_PLAYABLE}\s+(?:\w+\s+)?(?:played|sung)\s+(?:by|on|in)\s+(?:an?|the)\s+(?:[\w-]+\s+)?(?:{_PLAYABLE}
    |singer|voice)\b
    |\b(?:mood|tempo|melody|atmosphere|rhythm)\s+(?:is|plays)\s+(?:an?|the)\s+(?:\w+\s+)?{_PLAYABLE}\b
    |\b{_PLAYABLE}\s+(?:tells|says|speaks|laughs|dances)\b
    |\b{_PLAYABLE}\s+(?:solo\s+)?on\s+(?:an?|the)\s+(?:[\w-]+\s+)?{_PLAYABLE}\b|\b(?:piano|guitar|drum)\s+voice\b
    |\bsinger\s+(?:sings\s+)?along\s+with\s+(?:her|his)\s+guitar\s+and\s+vocal\b|\b(?:singer
    |vocalist)\s+is\s+vocal\b""",
    re.IGNORECASE | re.VERBOSE,
)
_BLOWN = r"(?:trumpet|trombone|tuba|saxophone|sax|flute|clarinet|oboe|horn)s?"
_STRUNG = r"(?:guitar|violin|cello|banjo|harp|ukulele|piano|keyboard|drum|cymbal|snare)s?"
_CANNOT_DO = re.compile(
    rf"""\b(?:singer|vocalist|rapper|voice|vocals)\s+ha(?:s|ve)\s+an?\s+(?:[\w,-]+\s+){{0,3}}?(?:(?:voice|tone)\s+and\s+an?
    \s+(?:[\w-]+\s+){{0,2}})?(?!drum){_PLAYABLE}\b(?!-|\s+(?:accompan\w+|like|tone|sound|behind|backing))
    |\b(?:tempo|mood|genre|key|style|volume|atmosphere|vibe)\s+(?:sings?|raps|is\s+(?:sung|strummed|blown|bowed|plucked))\b
    |\b{_BLOWN}\s+(?:is|are)\s+(?:strummed|plucked|bowed)\b|\b{_STRUNG}\s+(?:is|are)\s+blown\b""",
    re.IGNORECASE | re.VERBOSE,
)
_HOLLOW = re.compile(
    r"""^(?:(?:it|this|that|she|he|the\s+\w+)(?:['’]s|\s+is|\s+was)\s+(?:a|an|the|my|one)\s+)(?:(?:very|really
    |truly|great|good
    |nice|wonderful|amazing|classic|true|beautiful|real|perfect|work|piece|bit|party|dream|favou?rite|place|lot
    |part|way|kind
    |of|and|to|in|with|for|an?|the|world|art|music|song|track|listen|dance|album|fun|basis|future|past|life|heart|love
    |instrument|spiritual|tribute|lollipop|nightmare|great|vibe|thing|time|day|one|best|most)\W*)+$
    |\b(?:great|perfect|good|nice|fun)\s+(?:listen|introduction|album|addition)\b
    |\bno\s+words\s+are\s+needed\b|\bsense\s+of\s+humou?r\b""",
    re.IGNORECASE | re.VERBOSE,
)
_OPPOSED = tuple(
    (frozenset(one.split()), frozenset(other.split()))
    for one, other in (
        ("slow slow-paced slow-tempo slow-moving", "fast fast-paced fast-tempo quick rapid uptempo up-tempo upbeat"),
        (
            "happy cheerful joyful upbeat carefree ecstatic jolly merry",
            "sad mournful sorrowful gloomy ominous depressed",
        ),
        ("cheerful carefree joyful ecstatic", "melancholic melancholy wistful dark"),
        ("calm soothing peaceful tranquil relaxing", "aggressive angry furious frantic harsh"),
        ("instrumental", "sings rapper raps singer vocalist"),
        ("soft", "loud"),
        ("uplifting", "mournful ominous"),
    )
)
"""Words for what one moment of music cannot be together."""
_MAY_TURN = re.compile(
    r"\b(?:but|yet|although|though|while|whereas|then|later|before|until|from|into|despite|at first|switch\w*"
    r"|chang\w+|"
    r"alternat\w+|contrast\w*|bitter\w*|build\w*|becom\w+|transition\w*|giv\w+ way|turn\w*|begins|starts|ends"
    r"|neither|(?:is|are)\b[^,]*, (?:and )?the (?:[\w'’-]+ ){1,3}(?:is|are)\b|sometimes|either|parts?|section\w*|other"
    r"|female\b.*\bmale|male\b.*\bfemale)\b",
    re.IGNORECASE,
)
_FILLER = frozenset(
    """a an the and or of in on at by for with to from as is are was were be been being it its it's this that
    there their his her he she they them some also very so too more most like over under through along while
    which who can into up down out not no but if then than other another one two three four five first second
    each all any has have had having will would could do does done make makes made playing played plays play
    used using part parts side sounds sound song sounding music musical voice vocals vocal back forth again once
    time drum drums bass line lines male female singing sings singer melody melodies harmony harmonies melodic
    same different heavy soft quality recording recorded noise noisy tempo style styles section sections lead
    rhythm rhythmic beat beats instrument instruments movie people background key low high harmonic note notes
    layer layered voices start starts begins backing piece pieces game games metal samples moments crowd reverb
    low-quality accompaniment percussionist
    string-by-string rock""".split()
)
_PLAYED = frozenset(
    """guitar piano saxophone sax trumpet violin synth synthesizer keyboard organ brass flute cello banjo harmonica
    horn string harp percussion percussion cymbal snare tom kick choir voice""".split()
)
_QUALIFIES = frozenset("acoustic electric electronic digital synth synthesizer string strings sampled guitar".split())
_ARTICLES = frozenset(("", "a", "an", "the", "and", "or", "with", "by", "of"))
_FUNCTION_BEHIND = _FILLER - frozenset("drum drums bass line lines sound sounds melody lead beat".split()) | {""}
_CAPITAL = re.compile(
    r"(\b(?:by|of|like|from|to|at|in|features|featuring|with|and|named|called) )?(?<=[\w,;'’)] )([A-Z][\w’'.-]*\w)"
)
_NATION = re.compile(
    r"(?:ian|ean|ese|ish|ican|irish)s?(?:-\w+)?$|^(?:[A-Z]\w*-)?[A-Z]?[ivx-]+$|^[A-Z0-9][A-Z0-9&/.-]*s?$"
)
_KNOWN_CAPITALS = frozenset(
    """african american asian german latin latino arabic arab indian hindu hindi hindustani carnatic punjabi
    tamil bengali urdu sufi celtic greek french dutch swiss czech thai turkish balkan israeli hebrew jewish
    klezmer islamic muslim christian christmas gregorian catholic orthodox buddhist tibetan tuvan zulu cuban
    afro-cuban afro andean cajun creole hawaiian mediterranean nordic baltic slavic gypsy romani middle eastern
    western east west north south europe asia africa india china japan korea spain mexico brazil cuba jamaica
    ireland scotland england britain france germany italy greece turkey russia america usa uk bollywood broadway
    hollywood hammond rhodes wurlitzer moog mellotron leslie fender gibson telecaster stratocaster theremin
    steinway bösendorfer roland yamaha dj djs tv ep lp edm r&b rnb mc bpm sfx midi daw fm am lofi vst k-pop
    j-pop youtube halloween easter valentine sunday saturday friday monday new york orleans chicago detroit
    nashville memphis vienna viennese berlin hawaii rio bach-like dorian phrygian lydian mixolydian aeolian
    ionian doppler oktoberfest pan spanish-style delta dixieland baroque renaissance romantic classical
    impressionist viking pagan hip-hop auto-tune autotune vocoder c d e f g a b i victorian xmas nepali sanskrit
    carol carols rhyme rhymes kids kingdom disney elvis-like contemporary regional alternative instrumental
    urbano tango zydeco bhangra qawwali gamelan kora
    afghanistan albania algeria america argentina armenia australia austria azerbaijan bangladesh belgium bolivia
    bosnia bulgaria cambodia cameroon canada chile colombia congo croatia cyprus denmark ecuador egypt ethiopia
    finland georgia ghana haiti hungary iceland indonesia iran iraq israel jordan kazakhstan kenya korea kuwait laos
    lebanon libya lithuania madagascar malaysia mali malta mexico moldova mongolia morocco mozambique nepal
    netherlands nigeria norway pakistan palestine panama paraguay peru philippines poland portugal romania rwanda
    senegal serbia singapore slovakia slovenia somalia sudan sweden switzerland syria taiwan tanzania thailand tibet
    trinidad tunisia uganda ukraine uruguay uzbekistan venezuela vietnam wales yemen zambia zimbabwe
    christianity islam buddhism hinduism judaism santa moscow london paris vienna january february march april may june
    july august september october november december""".split()
)
_HEARD_OF_SINGERS = frozenset(
    """loud soft quiet calm powerful strong weak passionate emotional expressive energetic upbeat melancholic
    melancholy sad happy cheerful joyful angry aggressive gentle tender smooth soulful raspy rough hoarse
    gravelly husky breathy airy deep high low clear bright warm dark sweet confident playful relaxed laid-back
    intense dramatic sensual sultry seductive nasal monotone flat whispering singing rapping screaming shouting
    growling humming crooning chanting speaking talking yelling harmonizing harmonising improvising accompanied
    joined backed supported doubled layered processed autotuned auto-tuned distorted reverberant echoing muffled
    faint distant close male female baritone tenor soprano alto falsetto voice tone pitch range vibrato heard
    performing repeating reciting laid slow fast mellow lively moody haunting operatic theatrical joyous fierce
    urgent pleading nostalgic romantic hopeful serious dreamy vocalizing vocalising belting wailing moaning
    sighing alternating melodic rhythmic young old elderly child followed mixed buried prominent off-key
    out-of-tune trained untrained classical shrill vibrant enthusiastic animated subdued plaintive mournful
    sombre somber sung""".split()
)
SCENES = frozenset(
    """career title wife husband mother father brother brothers sister son daughter lover family
    planet beach ocean mountain mountains moon dog boat train soldier god
    jesus heaven hell demon angel ghost ghosts wizard giant hero heroes legend queen king princess wolf
    wolverine monster dragon death dead dying life dream nightmare letter poem book novel teacher sweetheart
    marriage kitchen door chair scissors knife axe gun gunshot glass bottle beer wine tea coffee bread
    lollipop sandwich balloon shoes dress hat hair smile face head leg feet mind police president nation freedom
    poverty religion faith prize member members fans career bouncer businessman lesbian person
    actor movie's painting picture poster shed castle prison seat bag loudspeaker fight joke humor humour
    rollercoaster water-cooler pool wrapper""".split()
)
"""What a short plain statement about sound has no use for. A comparison or a use may name them."""
_NO_SCENE = re.compile(r"\b(?:death|doom)[\s-]+(?:metal|core)\b|\bfull of life\b|[^\w\s'’-]")
_COMPARES = re.compile(
    r"\b(?:like|as if|as though|as|suits?|suitable|would|could|can|may|might|fit|fits|fitting|reminiscent"
    r"|remind\w*|evok\w+|"
    r"feels?|sounds?|used|perfect for|for|in (?:the|an?) (?:movie|film|video game|game|club|church|bar)"
    r"|background|samples?|"
    r"effects?|recording|recorded|while|voices?|(?:power|force|weight) of)\b",
    re.IGNORECASE,
)
_GENERIC = frozenset(
    """song songs music musical track piece tune tunes sound sounds singer singers vocalist voice vocals vocal
    mood vibe melody lyrics chorus verse beat tone solo band guitarist drummer player artist rapper singing sing
    sings sung love emotional big good great classic set simple full""".split()
)
_IS_OR_HAS = re.compile(
    r"^(?:(?:it|this|that|she|he)|(?:the|this)\s+(?:\w+\s+)?(?:song|track|piece|tune|music|singer|vocalist|rapper"
    r"|band|mood|"
    r"melody|vibe|album))(?:['’]s|\s+(?:is|has|was))\b(?!\s+(?:no|not|repeated|played|performed|sung|very|so"
    r"|quite|\w+ing\b))",
    re.IGNORECASE,
)
_TELLING = (MUSIC_WORDS - _GENERIC) | frozenset(
    """children's children kids game games video demo intro outro advertisement commercial compilation danced cool
    sophisticated chinese japanese korean indian african arabic spanish french irish turkish russian greek""".split()
)
_OF_A_KIND = re.compile(
    r"([^\W\d_][\w-]*|\d+/\d+)\s+(?:mood|atmosphere|feel|feeling|time signature|signature|patterns?|tempos?|music piece"
    r"|production)\b",
    re.IGNORECASE,
)
"""A style or a mood, whatever its name: `a rocksteady music piece`, `a victorious mood`."""
_NO_KIND = _GENERIC | frozenset("a an the its this that his her of and same own certain nice good whole my".split())
_LAST = frozenset(
    """a an the and or of in on at by for with to from as is are was were its his her their this that which who
    but very so has have also than into""".split()
)


def why_nonsense(sentence: str, tokens: Sequence[str]) -> str:
    """A key of REASONS, or nothing. `tokens`: the sentence's words in lower case."""
    if tokens and tokens[-1] in _LAST and sentence[-1] not in ".!?…":
        return "unfinished"
    if _CAREER.search(sentence):
        return "career"
    if _ABOUT.search(sentence) or _sets_a_scene(sentence, tokens):
        return "story"
    if _CANNOT_PLAY.search(sentence) or _CANNOT_DO.search(sentence):
        return "cannot-play"
    if _PERSON.search(sentence) or _of_a_person(sentence, tokens):
        return "person"
    if _HOLLOW.search(sentence) or _says_nothing(sentence, tokens):
        return "hollow"
    if _strange_name(sentence):
        return "unknown-name"
    if _goes_round(tokens):
        return "goes-round"
    if _contradicts(sentence, tokens):
        return "contradiction"
    return ""


def _of_a_person(sentence: str, tokens: Sequence[str]) -> bool:
    """What a singer is, where it is nothing that can be heard: `the singer is on a boat`."""
    return bool(len(tokens) <= 14 and _SINGER_IS.search(sentence) and _HEARD_OF_SINGERS.isdisjoint(tokens))


def _sets_a_scene(sentence: str, tokens: Sequence[str]) -> bool:
    if len(tokens) > 18 or SCENES.isdisjoint(tokens) or _COMPARES.search(sentence):
        return False
    return not SCENES.isdisjoint(_NO_SCENE.sub(" ", sentence.lower()).split())


def _says_nothing(sentence: str, tokens: Sequence[str]) -> bool:
    """Not one word for how anything sounds."""
    if len(tokens) > 14 or not _IS_OR_HAS.search(sentence) or _COMPARES.search(sentence):
        return False
    if any(found.lower() not in _NO_KIND for found in _OF_A_KIND.findall(sentence)):
        return False
    parts = {part for token in tokens for part in (token, *token.split("-"))}
    return parts.isdisjoint(_TELLING) and parts.isdisjoint(_HEARD_OF_SINGERS)


def _strange_name(sentence: str) -> bool:
    """A capital inside the sentence that no people, place, faith, maker or style has, where a name would stand.

    Behind a preposition, or two of them in a row; `a Konkani song`, `this is Futurepop` are kept.
    """
    end = -1
    for found in _CAPITAL.finditer(sentence):
        word = found.group(2).replace("’", "'")
        bare = word.lower().removesuffix("'s").removesuffix("s'")
        if found.group(1) == "by " and not _NATION.search(word) and bare not in _KNOWN_CAPITALS:
            return True
        if _NATION.search(word) or all(p in COMMON_WORDS or p in _KNOWN_CAPITALS for p in (bare, *bare.split("-"))[1:]):
            continue
        if found.group(1) or found.start(2) == end + 1 or word.endswith("'s"):
            return True
        end = found.end()
    return False


def _goes_round(tokens: Sequence[str]) -> bool:
    """A short sentence that says a word again: `a jazz ballad with a jazz-tinged jazz sound`.

    Not where it tells two instruments apart: `an electric guitar and a bass guitar`, `synth bass and synth strings`.
    """
    if any(a == b and not a.isdigit() and a not in ("very", "so", "la", "na", "by") for a, b in pairwise(tokens)):
        return True
    if len(tokens) > 13:
        return False
    said: dict[str, int] = {}
    for at, token in enumerate(tokens):
        stem = _stem(token)
        if token in _FILLER or len(token) <= 2:
            continue
        if stem in said and not _tells_apart(tokens, said[stem], at):
            return True
        said[stem] = at
    return False


def _tells_apart(tokens: Sequence[str], one: int, other: int) -> bool:
    """Whether a word that stands at both places belongs to two instruments: other words before it, or behind it."""
    before = [tokens[at - 1] if at else "" for at in (one, other)]
    behind = [tokens[at + 1] if at + 1 < len(tokens) else "" for at in (one, other)]
    if {_stem(tokens[one]), _stem(tokens[other])} <= _PLAYED and not _ARTICLES & set(before):
        return before[0] != before[1]
    return tokens[one] in _QUALIFIES and not _FUNCTION_BEHIND & set(behind) and behind[0] != behind[1]


def _stem(word: str) -> str:
    """`jazzy`, `guitarist`, `drums` and `bassline` as `jazz`, `guitar`, `drum` and `bass`."""
    for ending in ("line", "ists", "ist", "ies", "ed", "ing", "es", "s", "y", "er", "ly", "ful"):
        if len(word) - len(ending) >= 4 and word.endswith(ending):
            return word[: -len(ending)]
    return word


def _contradicts(sentence: str, tokens: Sequence[str]) -> bool:
    """Of sentences about one thing: two parts of it may differ."""
    if len(tokens) > 20 or _MAY_TURN.search(sentence):
        return False
    present = set(tokens)
    return any(one & present and other & present for one, other in _OPPOSED)
