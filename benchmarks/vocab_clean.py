"""Cleaning millions of raw sentences: time, peak memory, and for each known fault its precision and recall.

python -m benchmarks.vocab_clean [--sentences 4000000] [--workers 2] [--scratch FOLDER [--steps make,clean,judge]]

Precision of a reason: the share of sentences left out for it that have this fault. Recall of a fault: the share of its
sentences that are left out, for whatever reason. Both on 200,000 sentences of the same noise model. Duplicates and
near-duplicates are judged by all sentences. With --scratch the steps can be run one by one: only `clean` is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.memory import PeakMemory
from benchmarks.noise_model import FAULTS, NoiseModel, song_list
from benchmarks.vocab_clean_judge import judge_output
from pipeline.storage import Storage
from vocab.answers import ANSWER_SCHEMA, ANSWERS_FOLDER
from vocab.cleaning.filters import SentenceFilters
from vocab.cleaning.names import NameIndex, name_forms
from vocab.cleaning.sentences import strip_markers
from vocab.store import Vocabulary

__all__ = ["main"]

SONGS = 20_000
SAMPLE = 200_000
_PART = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=4_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scratch", help="folder for about 2 GB, which stay there (default: a temporary one)")
    parser.add_argument("--steps", default="make,clean,judge", help="of make, clean, judge (default: all)")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(args.scratch or stack.enter_context(tempfile.TemporaryDirectory()))
        for step in args.steps.split(","):
            {"make": _make, "clean": _clean, "judge": _judge}[step](folder, args.sentences, args.workers)


def _make(folder: Path, sentences: int, workers: int) -> None:
    began = time.perf_counter()
    songs = song_list(SONGS)
    _write_raw(folder / "raw", NoiseModel(songs), songs, sentences)
    print(f"made {sentences:,} raw sentences in {time.perf_counter() - began:.0f} s", flush=True)


def _clean(folder: Path, sentences: int, workers: int) -> None:
    command = [sys.executable, "-m", "benchmarks.vocab_clean_job", str(folder), str(workers)]
    began = time.perf_counter()
    process = subprocess.Popen(command)
    memory = PeakMemory(process.pid)
    watch = threading.Thread(target=memory.watch, daemon=True)
    watch.start()
    if process.wait():
        raise SystemExit("cleaning failed")
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"cleaned in {seconds:.0f} s with {workers} workers: {sentences / seconds:,.0f} sentences/s; "
        f"{used.ru_utime + used.ru_stime:.0f} CPU seconds; load {os.getloadavg()[1]:.1f}"
    )
    print(f"peak memory of all its processes together: {memory.peak_mib / 1024:.2f} GiB (proportional set size)")
    card = Vocabulary.load(folder / "clean.parquet").card
    print(f"{card.captions:,} captions kept")
    for step, reasons in card.yields.items():
        print(f"  {step}: " + ", ".join(f"{reason} {count:,}" for reason, count in reasons.items()), flush=True)


def _judge(folder: Path, sentences: int, workers: int) -> None:
    songs = song_list(SONGS)
    _judge_reasons(NoiseModel(songs), songs, min(SAMPLE, sentences))
    judge_output(Vocabulary.load(folder / "clean.parquet"), songs, sentences, workers)


def _write_raw(folder: Path, model: NoiseModel, songs: list[tuple[str, str]], sentences: int) -> None:
    storage = Storage(folder)
    storage.write_json("run.json", {"model": "noise model", "licence": "CC0-1.0"})
    storage.write_bytes(
        "../songs.csv", ("title,artist\n" + "".join(f"{title},{artist}\n" for title, artist in songs)).encode()
    )
    rows: list[dict[str, object]] = []
    part = 0
    for song, answer, _ in model.answers(sentences):
        rows.append(
            {
                "prompt_id": f"{song:016x}",
                "song_row": song + 1,
                "title": songs[song][0],
                "artist": songs[song][1],
                "sample": 0,
                "text": answer,
                "finish_reason": "stop",
                "tokens": 0,
                "provenance": f'{{"model":"noise","song_row":{song + 1}}}',
            }
        )
        if len(rows) == _PART:
            part = _write_part(storage, rows, part)
    _write_part(storage, rows, part)


def _write_part(storage: Storage, rows: list[dict[str, object]], part: int) -> int:
    if rows:
        with storage.write(f"{ANSWERS_FOLDER}/part-{part:05d}.parquet") as file:
            pq.write_table(pa.Table.from_pylist(rows, schema=ANSWER_SCHEMA), file, compression="zstd")
        rows.clear()
    return part + 1


def _judge_reasons(model: NoiseModel, songs: list[tuple[str, str]], count: int) -> None:
    filters = SentenceFilters(names=NameIndex(songs))
    given: dict[str, Counter[str]] = defaultdict(Counter)
    for number in range(count):
        text, fault, _ = model.sentence(number)
        own = name_forms(*songs[number // 5 % len(songs)])
        given[fault][filters.reason(strip_markers(text), own)] += 1
    print(f"\n{'fault':15}{'sentences':>10}{'recall':>9}{'precision':>11}   reasons given")
    for fault in FAULTS:
        if "duplicate" in fault:
            continue
        reasons = given[fault]
        total = sum(reasons.values())
        by_reason = sum(given[other][fault] for other in given)
        precision = f"{reasons[fault] / by_reason:.4f}" if by_reason else "-"
        often = ", ".join(f"{reason or 'kept'} {n}" for reason, n in reasons.most_common(4))
        print(f"{fault:15}{total:10,}{1 - reasons[''] / total:9.4f}{precision:>11}   {often}")
    clean = given[""]
    print(
        f"clean sentences kept by the filters: {clean[''] / sum(clean.values()):.5f}; else {dict(clean.most_common(5))}"
    )


if __name__ == "__main__":
    main()
