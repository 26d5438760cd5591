"""Which tags of an independent tagger speak for a fact of the lexicon, and which against it.

F facts, B clips. A fact's score is the log odds of the strongest tag that speaks for it, less that of the strongest
that speaks against it; of a tagger with several sets of tags each is the mean over the sets that have one. Only the
order of clips by it is used, so that a tagger's own calibration does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vocab.grammar.lexicon import stated_facts

__all__ = ["TAGGED_FACTS", "fact_scores"]

_VOICES = "vocal,vocals,singing,voice,female,male,female voice,male voice,female vocal,male vocal"
_CALM, _LOUD = (
    "quiet,soft,slow / Mellow,chillout,chill,ambient",
    "loud,fast,rock,metal,techno / metal,hard rock,rock,dance,party",
)
_TABLE = f"""
instrument:piano: piano
family:keyboard: piano,harpsichord
instrument:harpsichord: harpsichord
family:guitar: guitar / guitar
instrument:acoustic guitar: guitar / acoustic,guitar
instrument:clean electric guitar: guitar / guitar
instrument:distorted guitar: metal,rock / metal,hard rock,heavy metal
family:strings: strings,violin,cello
instrument:string ensemble: strings,violin
instrument:violin: violin
instrument:cello: cello
instrument:pizzicato strings: strings,violin
instrument:tremolo strings: strings,violin
instrument:flute: flute
instrument:recorder: flute
instrument:pan flute: flute
family:woodwind: flute
instrument:harp: harp
instrument:sitar: sitar
instrument:choir: choir,choral
family:voice: {_VOICES}
family:synth: synth,electronic / electronic,electronica
instrument:saw lead: synth,techno / electronic,electro
instrument:square lead: synth,electronic / electronic,electro
instrument:synth pad: ambient,synth / ambient
instrument:synth strings: synth,ambient / ambient,electronic
instrument:synth bass: techno,synth,dance / electronic,dance
drums:yes: drums,beat,beats
drums:no: # drums,beat,beats
kit:electronic: techno,beat,beats,dance,electronic / electronic,dance,electro
kit:acoustic: drums,rock / rock
voice:sung: {_VOICES}
instrument:singer: {_VOICES}
voice:no: no vocals,no vocal,no voice / instrumental # {_VOICES}
voice:male: male,man,male vocal,male voice
voice:female: female,woman,female vocal,female voice
style:rock: rock / rock,alternative rock,classic rock,hard rock
style:metal: metal / metal,heavy metal
style:pop: pop / pop
style:jazz: / jazz
style:blues: / blues
style:funk: / funk
style:disco: dance / dance,funk
style:house: techno,dance / House,dance
style:techno: techno / electronic,electro
style:trance: techno,dance / dance,electronic
style:drum and bass: techno,beat,beats / electronic
style:hip hop: beat,beats / Hip-Hop
style:string quartet: violin,cello,strings
style:baroque: classical,harpsichord
style:orchestral: strings,classical
style:choral: choral,choir
style:church: choral,choir
style:ambient: ambient,new age / ambient
style:country: country / country
style:celtic folk: / folk
style:chiptune: electronic,synth,techno / electronic
style:indian: indian,sitar
style:classical piano: piano
style:ragtime: piano
genre:electronic: electronic,techno,synth / electronic,electronica
genre:classical: classical,classic
genre:folk: / folk,acoustic
palette:acoustic: guitar,piano,classical / acoustic # electronic,techno,synth / electronic
energy:calm: {_CALM} # {_LOUD}
energy:high: {_LOUD} # {_CALM}
tempo:slow: slow # fast
tempo:fast: fast # slow
ensemble:solo: solo
mood:aggressive: metal,loud / metal,hard rock,punk
mood:dreamy: ambient,new age,soft / ambient,chillout,beautiful
mood:groovy: dance,beat / funk,dance,party
mood:sad: / sad
mood:happy: / happy
"""  # fact: tags of MagnaTagATune / of the Million Song Dataset # those against it, likewise


def _read() -> dict[str, tuple[str, str]]:
    rows = (
        line.rpartition(": ") if ": " in line else (line.rstrip(":"), "", "") for line in _TABLE.strip().splitlines()
    )
    return {fact: (tags.partition("#")[0], tags.partition("#")[2]) for fact, _, tags in rows}


_BY_FACT = _read()
TAGGED_FACTS: tuple[str, ...] = tuple(_BY_FACT)
_SETS = ("mtt", "msd")
"""MagnaTagATune and the Million Song Dataset: whose tags the two columns of the table are."""


def fact_scores(
    tags: Mapping[str, Mapping[str, NDArray[np.floating]]],
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Facts, and (B, F) how much speaks for each, from tag set -> tag -> (B,) activations in [0, 1].

    Facts whose tags are all absent are left out. Of a set that is neither `MTT` nor `MSD` the tags of both columns
    count, and any other tag whose words name a fact speaks for that.
    """
    facts, columns = [], []
    named = {name: {} if name.lower() in _SETS else _named(found) for name, found in tags.items()}
    for fact in dict.fromkeys([*TAGGED_FACTS, *(f for by_fact in named.values() for f in by_fact)]):
        parts: dict[str, list[NDArray[np.float64]]] = {"speaks": [], "against": []}
        for name, found in tags.items():
            speaks, against = (_listed(side, name, found) for side in _BY_FACT.get(fact, ("", "")))
            speaks += [tag for tag in named[name].get(fact, ()) if tag not in speaks and tag not in against]
            for side, wanted in (("speaks", speaks), ("against", against)):
                parts[side] += [_odds(found, wanted)] if wanted else []
        if any(parts.values()):
            facts.append(fact)
            columns.append(_mean(parts["speaks"]) - _mean(parts["against"]))
    return tuple(facts), np.stack(columns, axis=1) if columns else np.zeros((0, 0))


def _named(found: Mapping[str, NDArray[np.floating]]) -> dict[str, list[str]]:
    """Fact -> tags of a set that the table does not know, and whose words name it."""
    known = {t.strip() for sides in _BY_FACT.values() for side in sides for t in side.replace("/", ",").split(",")}
    named: dict[str, list[str]] = {}
    for tag in found:
        for fact in stated_facts(tag) if tag not in known else ():
            named.setdefault(fact, []).append(tag)
    return named


def _listed(side: str, name: str, found: Mapping[str, NDArray[np.floating]]) -> list[str]:
    columns = side.split("/")
    if name.lower() in _SETS:
        at = _SETS.index(name.lower())
        columns = columns[at : at + 1]
    wanted = (tag.strip() for column in columns for tag in column.split(","))
    return [tag for tag in dict.fromkeys(wanted) if tag in found]


def _odds(found: Mapping[str, NDArray[np.floating]], tags: Sequence[str]) -> NDArray[np.float64]:
    p = np.max([np.asarray(found[tag], dtype=np.float64) for tag in tags], axis=0)
    odds: NDArray[np.float64] = np.log(p + 1e-6) - np.log1p(1e-6 - p)
    return odds


def _mean(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | float:
    return np.mean(parts, axis=0) if parts else 0.0
