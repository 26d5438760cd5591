"""A folder of short composed pieces with what is true of each: music to mine and to train a small cascade on.

    OUT/metadata.csv       a manifest for `cratedig mine`: path, tags (every fact in its plainest words), licence
    OUT/000000.flac        ten seconds, mono, 24 kHz

Played by FluidR3 (MIT), in rooms, without the faults and the speech that the embedder's training has. T samples.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.describe import describe
from labeling.recipe.rendering.render import LEAD_IN_S, RATE_HZ, WINDOW_S, Studio
from labeling.recipe.rendering.soundfont import FLUID_R3
from labeling.recipe.training.captions import write_caption
from pipeline.ids import hash_u64
from vocab.grammar.lexicon import WORDS, group_of

__all__ = ["write_composed_music"]

_KINDS = {"style": 0.75, "solo": 0.25}
_SPOKEN = ("style", "instrument", "drums", "tempo", "energy", "mood", "register", "density")
"""Groups of facts that become tags, in this order; the rest follows from them or is no listener's word."""
_LICENCE = "CC0-1.0"
_PEAK = 0.7


def write_composed_music(
    out: Path, pieces: int, seed: int, *, font: Path = FLUID_R3, workers: int = 1
) -> Iterator[int]:
    """Writes the folder, a file that is there already is kept; yields how many there are. The same seed writes the
    same music, by any number of workers, and a larger number adds to it."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    with ExitStack() as stack:
        if workers > 1:
            pool = stack.enter_context(get_context("spawn").Pool(workers, _start_worker, (font, seed)))
            written: Iterable[list[str]] = pool.imap(partial(_write_piece, out, seed), range(pieces), chunksize=8)
        else:
            _start_worker(font, seed)
            written = map(partial(_write_piece, out, seed), range(pieces))
        for row in written:
            rows.append(row)
            yield len(rows)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["path", "tags", "licence", "caption"])
    writer.writerows(rows)
    (out / "metadata.csv").write_text(buffer.getvalue(), encoding="utf-8")


_studio: list[Studio] = []
"""A worker's own."""


def _start_worker(font: Path, seed: int) -> None:
    _studio[:] = [Studio(font, seed=hash_u64("composed", seed) % 2**32)]


def _write_piece(out: Path, seed: int, number: int) -> list[str]:
    """Its row of the list."""
    rng = np.random.default_rng((hash_u64("composed", seed, number), 0))
    kind = str(rng.choice(list(_KINDS), p=list(_KINDS.values())))
    piece = compose(hash_u64("composed", seed, number) >> 1, LEAD_IN_S + WINDOW_S, kind=kind)
    piece = replace(piece, recording=())
    facts = describe(piece, LEAD_IN_S, LEAD_IN_S + WINDOW_S)
    file = out / f"{number:06d}.flac"
    if not file.exists():
        audio_T = _studio[0].window(piece)
        peak = np.float32(_PEAK / (np.abs(audio_T).max() + 1e-6))
        temporary = file.with_suffix(".tmp")
        soundfile.write(temporary, peak * audio_T, RATE_HZ, "PCM_16", format="FLAC")
        temporary.replace(file)
    return [file.name, "; ".join(_tags(facts)), _LICENCE, _sentence(facts, number, seed)]


def _tags(facts: Iterable[str]) -> list[str]:
    by_group: dict[str, list[str]] = {}
    for fact in sorted(facts):
        by_group.setdefault(group_of(fact), []).append(WORDS[fact][0])
    return [word for group in _SPOKEN for word in by_group.get(group, ())[:4]]


def _sentence(facts: Iterable[str], number: int, seed: int) -> str:
    """For those who look at the list, and for prompts; it states some of the facts."""
    return write_caption(facts, random.Random(hash_u64("sentence", seed, number)), plain=True).text
