"""What a model's makers measured about choosing captions by it: `scoring.json` beside its weights.

D dimensions. The bundled model asks that its mean embedding of recorded music be taken off a clip's before the search,
that only captions be chosen that state what it was measured to hear, and that each fact which a caption states be added
to the caption's own embedding. A model without the file asks for nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.by_name import model_folder
from pipeline.errors import EmbedderProblem
from pipeline.ids import content_hash

__all__ = ["Scoring", "chance_to_hold", "hears_hash", "read_scoring"]

_OFFSET_CLIPS = 50
"""As many clips of a crate weigh as much as the mean that came with the model."""
_FACTS_VERSION = 1
"""Raised when captions that state the same are found or drawn otherwise."""
_CHOICE_VERSION = 1
"""Raised when the same facts leave other captions."""


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """How a model wants its captions chosen."""

    offset_D: NDArray[np.float32]
    """Its mean embedding over recorded music that it was calibrated on."""
    hears: tuple[str, ...]
    """Facts of the lexicon that a caption may state; the file says beside each how well recordings with it were told
    from others (AUC), where that was measured."""
    facts: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """(D,) each: what is added to the embedding of a caption that states the fact: the fact's own direction, divided by
    the spread of its scores over recorded music and weighed by how well it is heard."""
    min_music: float | None = None
    """`music_score` below which recorded sounds were more often something else than music."""
    min_similarity: float | None = None
    """Score below which a caption says no more of a clip than of others, its offset taken off."""
    holds: tuple[float, float] | None = None
    """For `chance_to_hold`, fitted to what an independent judge found of captions on recordings."""

    def offset_with(self, mean_D: NDArray[np.float32], clips: int) -> NDArray[np.float32]:
        """What to take off the clips of a crate with this mean: its own, as far as so many clips can tell it."""
        together = clips * mean_D.astype(np.float64) + _OFFSET_CLIPS * self.offset_D
        return (together / (clips + _OFFSET_CLIPS)).astype(np.float32)

    @property
    def offset_hash(self) -> str:
        return content_hash([_OFFSET_CLIPS, [round(float(x), 6) for x in self.offset_D]])[:8]

    @property
    def facts_hash(self) -> str:
        """Empty where captions are found by their own embeddings alone."""
        if not self.facts:
            return ""
        return content_hash(
            [_FACTS_VERSION, [[fact, [round(float(x), 6) for x in v]] for fact, v in self.facts.items()]]
        )[:8]


def chance_to_hold(holds: Sequence[float], score: float) -> float:
    """Of a stated fact whose vector (`Scoring.facts`) has this product with the clip: 1 / (1 + exp(-(a + b score)))."""
    a, b = holds
    return 1 / (1 + math.exp(-(a + b * score)))


def hears_hash(hears: Sequence[str]) -> str:
    """Of the captions that these facts leave; empty where there is no such choice."""
    return content_hash([_CHOICE_VERSION, list(hears)])[:8] if hears else ""


def read_scoring(name_or_path: str, weights_hash: str) -> Scoring | None:
    """What stands beside the model, where it is the one with these weights; None where nothing does."""
    folder = model_folder(name_or_path)
    file = folder / "scoring.json" if folder else None
    if file is None or not file.is_file():
        return None
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
        if said["weights_hash"] != weights_hash:
            return None
        return Scoring(
            offset_D=np.array(said["offset"], np.float32),
            hears=tuple(said["hears"]),
            facts={fact: np.array(vector, np.float32) for fact, vector in sorted(said.get("facts", {}).items())},
            min_music=said.get("min_music"),
            min_similarity=said.get("min_similarity"),
            holds=(float(said["holds"][0]), float(said["holds"][1])) if "holds" in said else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise EmbedderProblem(
            f"{file} cannot be understood ({error!r}): expected weights_hash, offset and hears; fetch it again, or "
            "delete it to choose captions by similarity alone"
        ) from error
