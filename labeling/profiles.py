"""Which vocabularies a clip is labelled from, and how many captions of each are drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.errors import BadInput, VocabularyProblem
from vocab.store import BUNDLED_FOLDER, Vocabulary, VocabularyCard, vocabulary_file

__all__ = ["PROFILES", "Profile", "Slot", "check_vocabulary", "resolve_vocabularies"]


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One vocabulary's place in a profile, and the column that its captions get."""

    name: str
    kind: Literal["long", "short"]
    draw: int
    """K', how many of the K candidates a clip gets."""
    bundled: bool
    """Whether the bundled vocabulary of that kind stands in when none is given."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A way of labelling that the paper describes."""

    name: str
    slots: tuple[Slot, ...]
    about: str
    clip_s: float
    """The clip length that the paper uses with it."""
    prompt: bool = False
    """Join a track's metadata into one prompt."""


_LLM_LF = Slot(name="llm_lf", kind="long", draw=3, bundled=True)
_RATER_SF = Slot(name="rater_sf", kind="short", draw=6, bundled=True)
_RATER_LF = Slot(name="rater_lf", kind="long", draw=3, bundled=False)

PROFILES: Mapping[str, Profile] = {
    "noise2music": Profile(
        name="noise2music",
        slots=(_LLM_LF, _RATER_SF),
        about="title and tags, 3 LLM sentences, 6 rater tags: what the cascade is trained on (PAPER 3.6)",
        clip_s=30.0,
    ),
    "mulamcap": Profile(
        name="mulamcap",
        slots=(_LLM_LF, _RATER_LF, _RATER_SF),
        about="3 LLM sentences, 3 rater sentences, 6 rater tags, on 10 s clips (PAPER 3.5)",
        clip_s=10.0,
    ),
    "curated": Profile(
        name="curated",
        slots=(),
        about="a track's own metadata joined into one prompt; nothing is retrieved (PAPER 3.6)",
        clip_s=30.0,
        prompt=True,
    ),
}


def resolve_vocabularies(profile: Profile, given: Mapping[str, str]) -> dict[str, str]:
    """The vocabulary file of each slot: the one given, else the bundled one.

    Raises BadInput for a slot that the profile has not, VocabularyProblem for a vocabulary that it must not use.
    """
    names = [slot.name for slot in profile.slots]
    if unknown := sorted(set(given) - set(names)):
        takes = f"takes {', '.join(names)}" if names else "takes no vocabulary"
        hint = ""
        if profile.name == "noise2music" and unknown[0] == "rater_lf":
            hint = " (Rater-LF comes from the set that models are evaluated on, PAPER 3.6; for captioning use mulamcap)"
        raise BadInput(f"profile {profile.name} {takes}, not {unknown[0]!r}{hint}")
    return {slot.name: str(_file(profile, slot, given)) for slot in profile.slots}


def _file(profile: Profile, slot: Slot, given: Mapping[str, str]) -> Path | str:
    if slot.name in given:
        return vocabulary_file(given[slot.name])
    if not slot.bundled:
        raise BadInput(
            f"profile {profile.name} needs a vocabulary for {slot.name}, and none is bundled: make one from MusicCaps "
            f"(cratedig vocab musiccaps CSV --out DIR), then give --vocab {slot.name}=DIR/rater-lf.parquet"
        )
    return BUNDLED_FOLDER / f"{slot.kind}.parquet"


def check_vocabulary(profile: Profile, slot: Slot, vocabulary: Vocabulary) -> None:
    """Raises VocabularyProblem where the slot cannot be filled from this vocabulary, or must not be."""
    card: VocabularyCard = vocabulary.card
    if card.kind != slot.kind:
        raise VocabularyProblem(
            f"vocabulary {card.name} holds {card.kind} captions, slot {slot.name} of {profile.name} takes "
            f"{slot.kind} ones; give it to another slot"
        )
    if profile.name == "noise2music" and card.evaluation_derived and card.kind == "long":
        raise VocabularyProblem(
            f"vocabulary {card.name} comes from the evaluation set, and profile noise2music must not train on its "
            "sentences (PAPER 3.6); use profile mulamcap for captioning, or another vocabulary for training"
        )
    if len(vocabulary) < slot.draw:
        raise VocabularyProblem(
            f"vocabulary {card.name} holds {len(vocabulary)} captions, slot {slot.name} draws {slot.draw} for each "
            "clip; add captions"
        )
