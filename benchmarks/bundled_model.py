"""What the bundled model knows and how it fares on recordings that nobody here made.

    python -m benchmarks.bundled_model words [--musiccaps musiccaps-public.csv]
    python -m benchmarks.bundled_model recorded FOLDER [--model bundled] [--tracks 10]

Its accuracy on rendered pieces: `python -m labeling.recipe render TESTS --split unseen --windows 800`, then
`python -m labeling.recipe evaluate labeling/bundled_clap TESTS`. Its speed: `python -m benchmarks.embedder`.

`recorded` takes the first tracks of a folder in the order of their names, unselected, and prints for each the captions
of the bundled vocabularies that are nearest to its middle minute, less each caption's mean over all the tracks.
"""

from __future__ import annotations

import argparse
import ast
import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.by_name import BUNDLED, load_embedder
from labeling.recipe.training.tokenizer import split_words
from vocab.store import BUNDLED_FOLDER, Vocabulary

__all__ = ["main"]

_AUDIO = (".ogg", ".mp3", ".flac", ".wav", ".opus", ".m4a", ".aiff")
_MOST_USED = 500


def words(musiccaps: Path | None) -> None:
    """How much of the bundled vocabularies, and of MusicCaps' aspect tags, the tokenizer has words for."""
    import json

    known = set(json.loads((BUNDLED / "tokenizer.json").read_text())["model"]["vocab"])
    print(f"{len(known)} words")
    for kind in ("long", "short"):
        texts = Vocabulary.load(BUNDLED_FOLDER / f"{kind}.parquet").texts.to_pylist()
        counts = Counter(word for text in texts for word in split_words(text))
        _coverage(f"bundled {kind}", counts, known)
    if musiccaps:
        with open(musiccaps, newline="", encoding="utf-8") as file:
            tags = [tag for row in csv.DictReader(file) for tag in ast.literal_eval(row["aspect_list"])]
        counts = Counter(word for tag in tags for word in split_words(tag) if word[0].isalnum())
        _coverage("MusicCaps aspect tags", counts, known)
        top = [word for word, _ in counts.most_common(_MOST_USED)]
        missing = [word for word in top if word not in known]
        print(f"of the {_MOST_USED} most used: {_MOST_USED - len(missing)} known, unknown: {', '.join(missing)}")


def _coverage(name: str, counts: Counter[str], known: set[str]) -> None:
    share = sum(n for word, n in counts.items() if word in known) / counts.total()
    missing = [word for word, _ in counts.most_common() if word not in known]
    print(f"{name}: {share:.1%} of {counts.total()} words known; unknown first: {', '.join(missing[:12]) or 'none'}")


def recorded(folder: Path, model: str, tracks: int) -> None:
    """A Markdown table of the nearest captions."""
    files = sorted(f for f in folder.rglob("*") if f.suffix.lower() in _AUDIO)
    long_enough = (f for f in files if _seconds(f) >= 60)
    chosen = [file for file, _ in zip(long_enough, range(tracks), strict=False)]
    embedder = load_embedder(model, device="cpu")
    rate, window_s = embedder.card.sample_rate_hz, embedder.card.window_s
    rows = []
    for file in chosen:
        windows = _middle_minute(file, rate, window_s)
        mean = np.asarray(embedder.embed_audio(windows)).mean(0)
        rows.append(mean / np.linalg.norm(mean))
    clips_BD = np.stack(rows)
    print("| track | long captions | tags |\n|---|---|---|")
    best = {kind: _nearest(embedder, kind, clips_BD, count) for kind, count in (("long", 2), ("short", 4))}
    for i, file in enumerate(chosen):
        print(f"| {file.stem} | {' '.join(best['long'][i])} | {', '.join(best['short'][i])} |")


def _nearest(embedder: object, kind: str, clips_BD: NDArray[np.float32], count: int) -> list[list[str]]:
    texts = Vocabulary.load(BUNDLED_FOLDER / f"{kind}.parquet").texts.to_pylist()
    captions_CD = np.asarray(embedder.embed_text(texts))  # type: ignore[attr-defined]
    similarity_BC = clips_BD @ captions_CD.T
    similarity_BC = similarity_BC - similarity_BC.mean(0)
    return [[texts[c] for c in np.argsort(-row)[:count]] for row in similarity_BC]


def _seconds(file: Path) -> float:
    import av

    with av.open(str(file)) as container:
        return float(container.duration or 0) / 1e6


def _middle_minute(file: Path, rate_hz: int, window_s: float) -> NDArray[np.float32]:
    """[W, T] mono windows around the middle of the file."""
    import av

    with av.open(str(file)) as container:
        resampler = av.AudioResampler("flt", "mono", rate_hz)
        blocks = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    audio_T = np.concatenate(blocks).astype(np.float32)
    length, count = round(window_s * rate_hz), round(60 / window_s)
    start = max(0, (audio_T.size - count * length) // 2)
    count = min(count, audio_T.size // length)
    return audio_T[start : start + count * length].reshape(count, length)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    about_words = parts.add_parser("words")
    about_words.add_argument("--musiccaps", type=Path, help="the public CSV, for the 500 most used words")
    about_recorded = parts.add_parser("recorded")
    about_recorded.add_argument("folder", type=Path)
    about_recorded.add_argument("--model", default="bundled")
    about_recorded.add_argument("--tracks", type=int, default=10)
    args = parser.parse_args()
    if args.part == "words":
        words(args.musiccaps)
    else:
        recorded(args.folder, args.model, args.tracks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
