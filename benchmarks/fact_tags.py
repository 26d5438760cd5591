"""Which tags of an independent tagger speak for a fact of the lexicon, and which against it.

F facts, B clips. A fact's score is the mean, over the tagger's two tag sets, of the log odds of its strongest tag; of
tags that speak against it likewise, taken off. Only the order of clips by it is used.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.musicnn_tags import TAGS

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


def fact_scores(tags: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
    """(B, F) in the order of TAGGED_FACTS from the (B, 50) activations of each tag set."""
    columns = [_odds(tags, speaks) - _odds(tags, against) for speaks, against in _BY_FACT.values()]
    return np.stack(columns, axis=1)


def _odds(tags: Mapping[str, NDArray[np.floating]], said: str) -> NDArray[np.float64]:
    found = []
    for name, part in zip(TAGS, said.split("/"), strict=False):
        columns = [TAGS[name].index(tag.strip()) for tag in part.split(",") if tag.strip()]
        if columns:
            p = np.asarray(tags[name], dtype=np.float64)[:, columns].max(axis=1)
            found.append(np.log(p + 1e-6) - np.log1p(1e-6 - p))
    return np.mean(found, axis=0) if found else np.zeros(len(next(iter(tags.values()))))
