"""How well `music_score` tells music from other recorded sounds, and which number to put into a model's scoring.json.

    python -m benchmarks.music_score --music FOLDER ... --other FOLDER ...

Music: ten seconds from the middle of each file. Other sounds, which are often short, are joined to windows of ten
seconds, folder by folder. Printed are the area under the ROC curve, and at each level the share of both below it.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from labeling.embedders.by_name import load_embedder
from labeling.music import MusicMargin
from pipeline.audio.decode import AudioSource, to_float
from pipeline.audio.probe import HEAD_BYTES, looks_like_audio
from pipeline.errors import DecodeFailure

Samples = NDArray[np.float32]
_LONGEST_S = 60.0


def sounds(folder: Path, rate_hz: int, limit: int) -> Iterator[Samples]:
    """Up to `limit` files of a folder in an order of chance, mono, their first minute."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and looks_like_audio(_head(path)))
    random.Random(0).shuffle(files)
    for path in files[:limit]:
        source, found = AudioSource(str(path)), []
        try:
            for block in source.blocks():
                found.append(np.mean([to_float(channel_T) for channel_T in block], axis=0, dtype=np.float32))
                if source.samples > _LONGEST_S * source.sample_rate_hz:
                    break
        except DecodeFailure:
            continue
        if found:
            yield soxr.resample(np.concatenate(found), source.sample_rate_hz, rate_hz)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def from_the_middle(folder: Path, rate_hz: int, window_T: int, limit: int) -> list[Samples]:
    long = (sound_T for sound_T in sounds(folder, rate_hz, limit) if len(sound_T) >= window_T)
    return [sound_T[(len(sound_T) - window_T) // 2 :][:window_T] for sound_T in long]


def joined(folder: Path, rate_hz: int, window_T: int, limit: int) -> list[Samples]:
    windows: list[Samples] = []
    rest_T = np.zeros(0, np.float32)
    for sound_T in sounds(folder, rate_hz, 20 * limit):
        rest_T = np.concatenate([rest_T, sound_T[: 2 * window_T], np.zeros(rate_hz // 5, np.float32)])
        while len(rest_T) >= window_T and len(windows) < limit:
            windows.append(rest_T[:window_T])
            rest_T = rest_T[window_T:]
        if len(windows) == limit:
            break
    return windows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=Path, nargs="+", required=True)
    parser.add_argument("--other", type=Path, nargs="+", required=True)
    parser.add_argument("--embedder", default="bundled")
    parser.add_argument("--limit", type=int, default=25, help="windows of a folder (default: 25)")
    args = parser.parse_args()
    embedder = load_embedder(args.embedder)
    rate_hz, margin = embedder.card.sample_rate_hz, MusicMargin(embedder)
    window_T = round(rate_hz * embedder.card.window_s)
    scores: dict[str, list[NDArray[np.float32]]] = {"music": [], "other": []}
    for kind, cut in (("music", from_the_middle), ("other", joined)):
        for folder in getattr(args, kind):
            if windows := cut(folder, rate_hz, window_T, args.limit):
                found = margin(embedder.embed_audio(np.stack(windows)))
                scores[kind].append(found)
                spread = " ".join(f"{score:+.2f}" for score in np.quantile(found, [0.1, 0.5, 0.9]))
                print(f"{kind:5} {folder.name:32} {len(found):3} windows {spread}", flush=True)
    music, other = (np.concatenate(scores[kind]) for kind in ("music", "other"))
    above = (np.sign(music[:, None] - other[None]).mean() + 1) / 2
    print(f"area under the ROC curve {above:.3f}, {len(music)} windows of music and {len(other)} of other sounds")
    for level in np.arange(-0.2, 0.21, 0.05):
        of_music, of_other = ((found < level).mean() for found in (music, other))
        print(f"below {level:+.2f}: {of_music:.0%} of music, {of_other:.0%} of other sounds")


if __name__ == "__main__":
    main()
