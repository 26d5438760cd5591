"""Do labels mean something? On the demo tracks, whose contents are known: the share of stated facts that are true.

    python -m benchmarks.labels_true demo/crate

For each clip, the facts that its drawn captions state (instrument family, drums, tempo class, and all that can be
decided) against the same for captions drawn at random from the same vocabulary.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from labeling.recipe.judging.facts import EXCLUSIVE, judge_facts
from pipeline.crate.crate import Crate, read_run
from pipeline.crate.dataset import iterate_clips, the_label_run
from vocab.grammar.lexicon import group_of, with_implied
from vocab.store import BUNDLED, Vocabulary, open_vocabulary

FACTS = Path(__file__).parent.parent / "examples" / "demo_music" / "facts.json"
GROUPS = ("family", "drums", "tempo")
RANDOM_CAPTIONS_PER_CLIP = 300
WINDOW_S = 10.0


def clip_facts(known: dict[str, object], start_s: float, duration_s: float) -> set[str]:
    """Facts of the 10 s windows of a clip: present in any, or in most where a group has one value at a time."""
    windows: list[list[str]] = known["windows"]  # type: ignore[assignment]
    inside = windows[int(start_s // WINDOW_S) : int((start_s + duration_s - 1) // WINDOW_S) + 1] or windows[-1:]
    counted = Counter(fact for window in inside for fact in set(window))
    return {f for f, n in counted.items() if group_of(f) not in EXCLUSIVE or 2 * n >= len(inside)}


class Tally:
    """True and decided facts by group."""

    def __init__(self) -> None:
        self.true: Counter[str] = Counter()
        self.decided: Counter[str] = Counter()

    def add(self, stated: Iterable[str], facts: set[str]) -> None:
        verdict = judge_facts(with_implied(stated), facts)
        for fact in verdict.true:
            self.true.update([group_of(fact), "all"])
        for fact in (*verdict.true, *verdict.false):
            self.decided.update([group_of(fact), "all"])

    def share(self, group: str) -> float:
        return self.true[group] / max(self.decided[group], 1)


def _vocabulary(slot: Mapping[str, str], files: Iterable[str]) -> Vocabulary:
    """The one that a slot was labelled from: a given file, or a bundled one."""
    for vocabulary in map(
        open_vocabulary, (*files, *(f"bundled:{name}" for many in BUNDLED.values() for name in many))
    ):
        if vocabulary.card.content_hash == slot["vocabulary_hash"]:
            return vocabulary
    raise SystemExit(f"labelled from {slot['vocabulary']} ({slot['vocabulary_hash']}); give that one with --vocab FILE")


def measure(crate: Crate, run: str, files: Iterable[str] = ()) -> Iterator[tuple[str, Tally, Tally]]:
    """(slot, drawn, random) for each slot of a label run."""
    known = json.loads(FACTS.read_text())
    said = read_run(crate, run)
    drawn: dict[str, Tally] = defaultdict(Tally)
    chance: dict[str, Tally] = defaultdict(Tally)
    vocabularies = {name: _vocabulary(slot, files) for name, slot in said["slots"].items()}
    stated = {name: v.facts.to_pylist() for name, v in vocabularies.items() if v.facts is not None}
    dice = np.random.default_rng(0)
    for row in iterate_clips(crate, run, columns=["source_key", "start_s", "duration_s"]):
        facts = clip_facts(known[row.clip["source_key"]], row.clip["start_s"], row.clip["duration_s"])
        for name, captions in stated.items():
            ids = np.array([int(label["caption_id"], 16) for label in row.labels[name]], dtype=np.uint64)
            for index in np.searchsorted(vocabularies[name].ids, ids):
                drawn[name].add(captions[index] or (), facts)
            for index in dice.integers(len(captions), size=RANDOM_CAPTIONS_PER_CLIP):
                chance[name].add(captions[index] or (), facts)
    for name in stated:
        yield name, drawn[name], chance[name]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate", help="a crate mined from examples/demo_music")
    parser.add_argument("--labels", default="", help="label run (default: the only one)")
    parser.add_argument("--vocab", action="append", default=[], metavar="FILE", help="that it was labelled from")
    args = parser.parse_args()
    crate = Crate.open(args.crate)
    print(f"{'slot':10} {'facts':20} {'drawn':>6} {'random':>7} {'ratio':>6} {'facts drawn':>12}")
    for slot, drawn, chance in measure(crate, the_label_run(crate, args.labels), args.vocab):
        for group in (*GROUPS, "all"):
            ratio = drawn.share(group) / max(chance.share(group), 1e-9)
            title = {"family": "instrument family", "tempo": "tempo class"}.get(group, group)
            print(
                f"{slot:10} {title:20} {drawn.share(group):6.2f} {chance.share(group):7.2f} {ratio:6.1f} "
                f"{drawn.decided[group]:12}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
