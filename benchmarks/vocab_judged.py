"""How much of what small language models write is junk, and what cleaning leaves of it, by a reader's judgement.

python -m benchmarks.vocab_judged [--musiccaps musiccaps-public.csv] [--show]

data/judged_sentences.csv: 200 sentences each of two models, asked about 100 songs on 2026-11-26, drawn by chance before
any filter, and whether a reader would print them as a caption (a strong language model read them, before the filters
were tried on them). Rules were mended while looking at every second sentence; the others are held out. `fresh` ones are
of other songs and later prompts, and came when rules and labels stood. --musiccaps tells how many of the sentences that
people wrote are kept.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from collections import Counter
from pathlib import Path

from vocab.cleaning.filters import SentenceFilters
from vocab.cleaning.leak import evaluation_texts
from vocab.cleaning.names import NameIndex, name_forms
from vocab.cleaning.sentences import split_sentences

__all__ = ["main"]

JUDGED = Path(__file__).parent / "data" / "judged_sentences.csv"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--musiccaps", metavar="CSV", help="captions that people wrote, column `caption`")
    parser.add_argument("--show", action="store_true", help="print the sentences judged wrongly")
    args = parser.parse_args()
    with JUDGED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    filters = SentenceFilters(names=NameIndex({(row["title"], row["artist"]) for row in rows}))
    counted: Counter[tuple[str, str, str, bool]] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for row in rows:
        reason = filters.reason(row["text"], name_forms(row["title"], row["artist"]))
        counted[row["model"], row["half"], row["good"], bool(reason)] += 1
        reasons[row["model"], reason or "kept"] += 1
        if args.show and (row["good"] == "1") == bool(reason):
            print(f"{'lost' if reason else 'left':5} {reason:14} {row['text']}")
    for model in dict.fromkeys(row["model"] for row in rows):
        for half in dict.fromkeys(row["half"] for row in rows if row["model"] == model):
            good, junk = ([counted[model, half, kind, out] for out in (False, True)] for kind in "10")
            print(
                f"{model}, {half}: junk removed {junk[1] / sum(junk):.2f} of {sum(junk)}, good kept "
                f"{good[0] / sum(good):.2f} of {sum(good)}; junk among what is kept "
                f"{junk[0] / (junk[0] + good[0]):.2f}, before {sum(junk) / (sum(junk) + sum(good)):.2f}"
            )
        print("  " + ", ".join(f"{why} {n}" for (of, why), n in reasons.most_common() if of == model))
    if args.musiccaps:
        every = evaluation_texts(args.musiccaps, column="caption")
        texts = [text for text in every if len(split_sentences(text)) == 1]
        began = time.process_time()
        found = Counter(filters.reason(text) or "kept" for text in texts)
        each_us = 1e6 * (time.process_time() - began) / len(texts)
        print(f"MusicCaps: {found['kept'] / len(texts):.3f} of {len(texts):,} kept, {each_us:.0f} us of CPU a sentence")
        print("  " + ", ".join(f"{why} {n}" for why, n in found.most_common()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
