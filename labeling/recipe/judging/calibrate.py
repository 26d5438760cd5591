"""`scoring.json` of a model: what is taken off every clip before its captions are searched, what captions may state,
and what each fact adds to a caption that states it.

B clips, D dimensions. Recordings lie in a narrow cone of the model's space, so that a caption's own offset would decide
more than the clip does; their mean is measured once, on music that is in none of the card's figures, and shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.by_name import load_embedder
from labeling.embedders.embedder import Embedder, mean_direction
from labeling.recipe.training.recorded import recorded_clips
from pipeline.errors import BadInput
from vocab.grammar.lexicon import WORDS

__all__ = ["calibrate", "fact_direction", "fact_vector", "write_scoring"]

_FACT_SPREAD = 0.08
"""Of a surely heard fact's part of a score over recordings: a caption's own cosine with them spreads as much. Half
of it loses .03 of the gain on recordings, and is right a little more often on composed pieces."""
_TEMPLATES = ("{}", "{} music", "a piece with {}", "this is {}", "{} sound")


def calibrate(
    model: Path,
    folders: Sequence[Path],
    hears: Mapping[str, Mapping[str, float]] | None = None,
    composed: Path | None = None,
) -> int:
    """Embeds two clips of each track and writes the file; returns how many clips.

    hears: facts and their AUC, under `probes` and `words` by what hears them best; where it is None, every fact of the
    lexicon, as if each was surely heard: the file by which that is then measured. composed: shards of composed windows,
    to train probes on; without it all facts go by their words.
    """
    embedder = load_embedder(str(model), device="cpu")
    rate = embedder.card.sample_rate_hz
    clips = [embedder.embed_clips([clip])[0] for folder in folders for _, clip in recorded_clips(folder, rate)]
    hears = {"probes": dict.fromkeys(WORDS, 1.0)} if hears is None else hears
    heard = {fact: auc for facts in hears.values() for fact, auc in facts.items()}
    directions = {fact: fact_direction(embedder, fact) for fact in heard}
    if composed is not None:
        directions |= _probed(embedder, composed, list(hears["probes"]), np.stack(clips))
    write_scoring(model, embedder.card.weights_hash, np.stack(clips), heard, directions)
    return len(clips)


def _probed(
    embedder: Embedder, composed: Path, facts: list[str], clips_BD: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    from labeling.embedders.clap import ClapEmbedder
    from labeling.recipe.judging.probes import embed_windows, probes, verdicts

    if not isinstance(embedder, ClapEmbedder):
        raise BadInput("probes are trained on the log-mels of a ClapModel; leave --composed out for another embedder")
    windows_WD, known = embed_windows(embedder, composed)
    found = probes(windows_WD, verdicts(facts, known), clips_BD)
    return {fact: probe_D for fact, probe_D in zip(facts, found, strict=True) if probe_D is not None}


def fact_direction(embedder: Embedder, fact: str) -> NDArray[np.float32]:
    """(D,) of unit length: the mean of texts that say the fact."""
    return mean_direction(embedder.embed_text([t.format(word) for word in WORDS[fact][:4] for t in _TEMPLATES]))


def fact_vector(direction_D: NDArray[np.float32], clips_BD: NDArray[np.float32], auc: float) -> NDArray[np.float32]:
    """What a fact adds to a caption: its direction over the spread of its scores on recordings, less the less surely it
    is heard, and nothing at an AUC of one half."""
    spread = float((clips_BD @ direction_D).std())
    vector: NDArray[np.float32] = direction_D * np.float32(_FACT_SPREAD * max(2 * auc - 1, 0) ** 0.5 / spread)
    return vector


def write_scoring(
    model: Path,
    weights_hash: str,
    clips_BD: NDArray[np.float32],
    hears: Mapping[str, float],
    directions: Mapping[str, NDArray[np.float32]],
) -> None:
    """The file beside the weights; it is no part of their hash, since it moves no embedding.

    directions: of the facts in `hears`, of any length. `min_music`, `min_similarity` and `holds` (see `Scoring`) are
    added by hand: `python -m benchmarks.music_score` and `benchmarks.real_music` measure them.
    """
    facts = sorted(hears.items())
    said = {
        "weights_hash": weights_hash,
        "clips": len(clips_BD),
        "offset": _rounded(clips_BD.mean(axis=0, dtype=np.float64), 6),
        "hears": {fact: round(auc, 3) for fact, auc in facts},
        "facts": {
            fact: _rounded(fact_vector(directions[fact], clips_BD, auc), 4)
            for fact, auc in facts
            if not fact.startswith("lead:")  # the same as its instrument's, which a caption then states as well
        },
    }
    (model / "scoring.json").write_text(_a_line_a_fact(said), encoding="utf-8")


def _rounded(vector_D: NDArray[np.floating], digits: int) -> list[float]:
    return [round(float(x), digits) for x in vector_D]


def _a_line_a_fact(said: Mapping[str, Any]) -> str:
    def plain(value: Any) -> str:
        if not isinstance(value, Mapping):
            return json.dumps(value)
        return "{\n" + ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n }"

    return "{\n" + ",\n".join(f" {json.dumps(key)}: {plain(value)}" for key, value in said.items()) + "\n}\n"
