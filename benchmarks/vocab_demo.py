"""What the bundled sentences give a crate: captions used and their entropy, before and after.

python -m benchmarks.vocab_demo demo/crate          (after make demo; the crate itself is not changed)

Before: what one has without a vocabulary, a form that is filled in, as joint models are usually asked: one sentence for
each style that the grammar knows, and one for each bundled tag. After: the bundled sentences. Each clip gets 3 of its
10 best by inverse frequency. Facts: how many a drawn caption states, and the share of those that can be decided which
are true of the demo's tracks (benchmarks.labels_true).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

from beam_jobs.labels import label_crate
from benchmarks.labels_true import FACTS, Tally, clip_facts
from labeling.report.runs import choose_run
from labeling.report.slots import slot_figures
from pipeline.crate.crate import CANDIDATES, LABELS, Crate
from pipeline.crate.dataset import iterate_clips
from vocab.build import caption_table
from vocab.grammar.lexicon import stated_facts
from vocab.grammar.words_style import STYLES
from vocab.merge import merge_vocabularies
from vocab.store import VocabularyCard, bundled_vocabulary, open_vocabulary, write_vocabulary

__all__ = ["main"]

SLOT = "llm_lf"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate", help="a crate mined from examples/demo_music")
    args = parser.parse_args()
    Crate.open(args.crate).require_clips()
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "crate"
        shutil.copytree(args.crate, copy, ignore=shutil.ignore_patterns(CANDIDATES, LABELS, "report"))
        tags = bundled_vocabulary("short")
        assert tags.facts is not None, "the grammar states them"
        before: dict[str, list[tuple[str, list[str]]]] = {
            "a sentence for each style": [
                (f"This is {style.words[0]} music.", list(stated_facts(style.words[0]))) for style in STYLES
            ],
            "a sentence for each tag": [
                (f"This music is tagged: {tag}.", facts)
                for tag, facts in zip(tags.texts.to_pylist(), tags.facts.to_pylist(), strict=True)
            ],
        }
        print(
            f"{'captions of':28}{'known':>9}{'drawn':>7}{'used':>6}{'entropy':>9}{'of most':>9}{'facts':>7}{'true':>6}"
        )
        for number, (name, captions) in enumerate(before.items()):
            file = Path(scratch) / f"before-{number}.parquet"
            _write(file, name, captions)
            _measure(copy, name, str(file))
        _measure(copy, "the bundled sentences", "")
        written = open_vocabulary("bundled:written")
        few, both = Path(scratch) / "few.parquet", Path(scratch) / "both.parquet"
        sample = bundled_vocabulary("long").sample(len(written))
        write_vocabulary(few, sample.table, sample.card)
        merge_vocabularies([("written", written), ("long", bundled_vocabulary("long"))], both, name="both")
        _measure(copy, "as many of them", str(few))
        _measure(copy, "a language model's", "bundled:written")
        _measure(copy, "both", str(both))
    return 0


def _write(file: Path, name: str, captions: list[tuple[str, list[str]]]) -> None:
    table, _ = caption_table(
        [text for text, _ in captions],
        kind="long",
        source="import",
        licence="Apache-2.0",
        provenance="{}",
        facts=[tuple(facts) for _, facts in captions],
    )
    card = VocabularyCard(name=name, kind="long", source="import", licence="Apache-2.0", evaluation_derived=False)
    write_vocabulary(file, table, card)


def _measure(root: Path, name: str, file: str) -> None:
    crate = Crate.open(str(root))
    vocabularies = {SLOT: file} if file else {}
    vocabulary = open_vocabulary(file or "bundled:long")
    assert vocabulary.facts is not None, "the grammar and the forms state them"
    made = label_crate(crate, vocabularies=vocabularies)
    run = choose_run(crate, made.name)
    assert run is not None, "just made"
    slot = next(slot for slot in run.slots if slot.name == SLOT)
    figures = slot_figures(crate, run, slot, vocabularies=vocabularies)
    use = figures.draws[run.method].spread
    known, tally, stated = json.loads(FACTS.read_text()), Tally(), 0
    for row in iterate_clips(crate, run.name, columns=["source_key", "start_s", "duration_s"]):
        facts = clip_facts(known[row.clip["source_key"]], row.clip["start_s"], row.clip["duration_s"])
        for label in row.labels[SLOT]:
            said = vocabulary.facts[int(np.searchsorted(vocabulary.ids, int(label["caption_id"], 16)))].as_py() or ()
            stated += len(said)
            tally.add(said, facts)
    print(
        f"{name:28}{figures.captions:9,}{use.drawn:7}{use.distinct:6}{use.entropy_bits:9.2f}"
        f"{100 * use.entropy_share:7.1f} %{stated / use.drawn:7.2f}{tally.share('all'):6.2f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
