"""The table of tags that `cratedig evaluate labels --tagger` takes, by musicnn, for the clips of a crate.

    pip download --no-deps musicnn==0.1.0
    python -m benchmarks.tag_crate CRATE --musicnn musicnn-0.1.0-py3-none-any.whl -o musicnn.csv

Columns: clip_id, tag (`MTT/guitar`, `MSD/jazz`), score in [0, 1]. Any tagger will do that writes such a table. Clips of
less than 30 s are repeated to 30 s.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
import soxr

from benchmarks.musicnn_tags import RATE_HZ, TAGS, Musicnn
from pipeline.crate.crate import Crate
from pipeline.crate.dataset import iterate_clips
from pipeline.crate.schema import audio_columns

__all__ = ["main"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate")
    parser.add_argument("--musicnn", type=Path, required=True, help="its wheel; nothing of it is installed")
    parser.add_argument("-o", "--out", type=Path, required=True)
    args = parser.parse_args()
    crate, tagger = Crate.open(args.crate), Musicnn(args.musicnn)
    column = min(audio_columns(crate.config), key=lambda name: abs(audio_columns(crate.config)[name] - RATE_HZ))
    with args.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "tag", "score"])
        for row in iterate_clips(crate, columns=[column]):
            samples_T, rate = row.audio(column)
            heard_T = samples_T if rate == RATE_HZ else soxr.resample(samples_T, rate, RATE_HZ)
            found = tagger.tag(np.resize(heard_T, max(len(heard_T), 30 * RATE_HZ)))
            for name, scores in found.items():
                pairs = zip(TAGS[name], scores, strict=True)
                writer.writerows([row.clip["clip_id"], f"{name}/{tag}", f"{score:.6f}"] for tag, score in pairs)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
