"""How much nearer a sound is to music than to other sounds, by a model's own text tower: `music_score` of a clip.

C clips, K classes, D dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.embedder import Embedder, mean_direction
from vocab.grammar.lexicon import WORDS, group_of

__all__ = ["MusicMargin"]

MUSIC = tuple(fact for fact in WORDS if group_of(fact) == "style")
OTHER = (*(fact for fact in WORDS if group_of(fact) == "sound"), "voice:spoken")
_SHARPNESS = 0.05
"""Of the soft maximum over classes, in units of a cosine: a clip need not be near all of music, nor one style alone."""


class MusicMargin:
    """Soft maximum of the cosines with styles of music, less that with speech and other sounds.

    A class is the mean direction of the lexicon's phrases for it. 0 is neither; where music begins depends on the
    model, which has the number in its scoring.json.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._music_KD, self._other_KD = _classes(embedder, MUSIC), _classes(embedder, OTHER)

    def __call__(self, embedding_CD: NDArray[np.float32]) -> NDArray[np.float32]:
        """(C,) from the clips' embeddings, rounded to what means anything."""
        margin_C = _soft_max(embedding_CD @ self._music_KD.T) - _soft_max(embedding_CD @ self._other_KD.T)
        return margin_C.round(4).astype(np.float32)


def _classes(embedder: Embedder, facts: Sequence[str]) -> NDArray[np.float32]:
    return np.stack([mean_direction(embedder.embed_text(WORDS[fact])) for fact in facts])


def _soft_max(cosine_CK: NDArray[np.float32]) -> NDArray[np.float64]:
    return _SHARPNESS * np.log(np.exp(cosine_CK.astype(np.float64) / _SHARPNESS).mean(axis=1))
