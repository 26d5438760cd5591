"""`scoring.json` of a model: what is taken off every clip before its captions are searched, and what it may state.

B clips, D dimensions. Recordings lie in a narrow cone of the model's space, so that a caption's own offset would decide
more than the clip does; their mean is measured once, on music that no judgement of the model uses, and shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.by_name import load_embedder
from labeling.recipe.judging.recorded import recorded_clips

__all__ = ["calibrate", "write_scoring"]


def calibrate(model: Path, folders: Sequence[Path], hears: Mapping[str, float]) -> int:
    """Embeds two clips of each track and writes the file; returns how many clips."""
    embedder = load_embedder(str(model), device="cpu")
    rate = embedder.card.sample_rate_hz
    found = [embedder.embed_clips([clip])[0] for folder in folders for _, clip in recorded_clips(folder, rate)]
    write_scoring(model, embedder.card.weights_hash, np.stack(found), hears)
    return len(found)


def write_scoring(model: Path, weights_hash: str, clips_BD: NDArray[np.float32], hears: Mapping[str, float]) -> None:
    """The file beside the weights; it is no part of their hash, since it moves no embedding.

    `min_music` and `min_similarity` (see `Scoring`) are added by hand: `python -m benchmarks.music_score` measures.
    """
    said = {
        "weights_hash": weights_hash,
        "clips": len(clips_BD),
        "offset": [round(float(x), 6) for x in clips_BD.mean(axis=0, dtype=np.float64)],
        "hears": {fact: round(auc, 3) for fact, auc in sorted(hears.items())},
    }
    (model / "scoring.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
