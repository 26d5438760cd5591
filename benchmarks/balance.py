"""How evenly captions are used under three draws, and what counting and drawing cost a clip.

python -m benchmarks.balance CRATE                     entropy and largest share, of the crate's newest labels
python -m benchmarks.balance --speed                   microseconds a clip: 100,000 clips, 10 candidates,
                                                       vocabularies of 30,000 and 4,000,000 captions (a few minutes)

B clips of a shard, K candidates, N captions.
"""

from __future__ import annotations

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # microseconds of one core: before NumPy is loaded

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from labeling.draw import draw
from labeling.label import OpenSlot, label_columns
from labeling.profiles import PROFILES
from labeling.search.candidates import CandidateSet
from labeling.search.counts import add_bucket_counts, bucket_counts, read_counts, write_counts
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.plan import Pour
from pipeline.crate.shards import part_name, write_marker
from pipeline.ids import clip_id, hash_u64, track_id
from pipeline.records import EmbedderCard, ShardReport
from pipeline.storage import Storage
from vocab.build import caption_table
from vocab.store import Vocabulary, VocabularyCard, write_vocabulary

__all__ = ["main"]

_K = 10
_SHARD_CLIPS = 192
"""32 tracks of six clips, a full shard."""
_FEWEST_CLIPS = 500


def balance(root: str, labels: str = "") -> int:
    """Print the table of a crate; 1 where it has too few clips to say much."""
    from labeling.report.runs import choose_run
    from labeling.report.slots import METHODS, slot_figures
    from pipeline.crate.crate import Crate
    from pipeline.errors import BadInput

    crate = Crate.open(root)
    crate.require_clips()
    run = choose_run(crate, labels)
    if run is None or not run.slots:
        raise BadInput(f"{root} has no labels that were drawn; label it: cratedig label {root}")
    fewest = 0
    print(f"{root}, labels {run.name}, embedder {crate.embedder.name}")
    print(f"{'slot':10} {'draw':18} {'drawn':>8} {'captions':>9} {'entropy':>9} {'of most':>8} {'largest':>8}")
    for slot in run.slots:
        figures = slot_figures(crate, run, slot)
        for method in METHODS:
            found = figures.draws[method].spread
            print(
                f"{slot.name:10} {method:18} {found.drawn:8,} {found.distinct:9,} {found.entropy_bits:9.3f} "
                f"{100 * found.entropy_share:6.1f} % {100 * found.largest_share:6.2f} %"
            )
        fewest = figures.clips
        hubs = figures.hubness
        print(
            f"{'':10} N_{figures.k}: skewness {hubs.skewness:.1f}, {100 * hubs.never_share:.1f} % of "
            f"{figures.captions:,} captions never a candidate, largest hub in {hubs.largest} of {figures.clips} clips"
        )
    if fewest < _FEWEST_CLIPS:
        print(f"only {fewest} clips: take {_FEWEST_CLIPS} or more before these figures say much")
        return 1
    return 0


def speed(clips: int, captions: int) -> None:
    """Print what one vocabulary costs; best of three for the kernels, one run for the whole job."""
    with tempfile.TemporaryDirectory(prefix="balance-") as folder:
        vocabulary = _vocabulary(Path(folder), captions)
        shards = list(_candidates(clips, vocabulary.ids))
        counted = _best(partial(_count, shards, vocabulary.ids))
        packed = _count(shards, vocabulary.ids)
        chosen = _chosen(vocabulary)
        storage = Storage(folder)
        write_counts(storage, chosen, packed, vocabulary.ids, clips=clips, covers={})
        counts = read_counts(storage, chosen)
        assert counts is not None
        counts_N = counts.dense(captions)
        print(f"{captions:,} captions, {clips:,} clips in {len(shards)} shards of {_SHARD_CLIPS}, K = {_K}")
        print(f"  {'count, kernels (unique a shard, add up a bucket)':54} {1e6 * counted / clips:7.2f} us a clip")
        print(
            f"  {'count, the whole job on the local Beam runner':54} {1e6 * _job(storage, chosen, shards) / clips:7.2f}"
        )
        for slot in PROFILES["noise2music"].slots:
            opened = OpenSlot(slot=slot, chosen=chosen, vocabulary=vocabulary, counts_N=counts_N)
            name = f"{slot.draw} of {_K}"
            print(f"  {f'draw {name}, kernel':54} {1e6 * _best(partial(_draw, opened, shards)) / clips:7.2f}")
            took = _best(partial(_labels, opened, shards))
            print(f"  {f'draw {name}, with texts and probabilities as Arrow':54} {1e6 * took / clips:7.2f}")
            took = _best(partial(_written, opened, shards, Path(folder) / "labels.parquet"), repeats=1)
            print(f"  {f'draw {name}, written as zstd Parquet':54} {1e6 * took / clips:7.2f}")


_NO_EMBEDDER = EmbedderCard(
    name="none", sample_rate_hz=24_000, window_s=1.0, dimension=4, text_limit_tokens=16, licence="", revision="",
    weights_hash="0",
)  # fmt: skip

Shard = tuple[list[str], NDArray[np.uint64], NDArray[np.float32]]
"""Clip ids, (B, K) caption ids, (B, K) scores."""


def _vocabulary(folder: Path, captions: int) -> Vocabulary:
    """So many sentences of ordinary length, with their true ids."""
    words = "slow bright warm distant gentle driving sparse heavy airy restless".split()
    texts = (
        f"A {words[i % 10]} melody number {i} over {words[i // 10 % 10]} drums and a {words[i // 100 % 10]} bass line."
        for i in range(captions)
    )
    table, _ = caption_table(texts, kind="long", source="import", licence="CC0-1.0", provenance="{}")
    card = VocabularyCard(
        name=f"made-{captions}", kind="long", source="import", licence="CC0-1.0", evaluation_derived=False
    )
    write_vocabulary(folder / "captions.parquet", table, card)
    return Vocabulary.load(folder / "captions.parquet")


def _candidates(clips: int, ids_N: NDArray[np.uint64]) -> Iterator[Shard]:
    """Candidates with hubs: the chance of a caption falls with the root of its place in a random order."""
    rng = np.random.default_rng(0)
    places = rng.permutation(len(ids_N))
    for start in range(0, clips, _SHARD_CLIPS):
        B = min(_SHARD_CLIPS, clips - start)
        rows_BK = places[(len(ids_N) * rng.random((B, _K)) ** 2).astype(np.int64)]
        names = [clip_id(track_id(str((start + b) // 6)), 30.0 * ((start + b) % 6)) for b in range(B)]
        yield names, ids_N[rows_BK], -np.sort(-rng.random((B, _K), dtype=np.float32), axis=1)


def _chosen(vocabulary: Vocabulary) -> CandidateSet:
    return CandidateSet(
        vocabulary_name=vocabulary.card.name,
        vocabulary_hash=vocabulary.card.content_hash,
        captions=len(vocabulary),
        k=_K,
        search="exact",
        debias="none",
        heard="",
        base_hash="balance",
    )


def _count(shards: list[Shard], ids_N: NDArray[np.uint64]) -> list[bytes]:
    buckets: dict[int, list[bytes]] = defaultdict(list)
    for _, caption_BK, _ in shards:
        for bucket, data in bucket_counts(caption_BK, ids_N):
            buckets[bucket].append(data)
    return [add_bucket_counts(data) for data in buckets.values()]


def _job(storage: Storage, chosen: CandidateSet, shards: list[Shard]) -> float:
    """Seconds of the count as it is run: shards read from disk, Beam's shuffle, buckets written and put together."""
    pour = Pour(tracks=len(shards), shards=len(shards), hash="balance")
    crate = Crate(storage=storage, config=ClipsConfig(), embedder=_NO_EMBEDDER, embedder_source="", pours=(pour,))
    crate.write_header()
    from beam_jobs.candidates import CandidatesJob, count_candidates
    from beam_jobs.engine import Engine

    for index, (names, caption_BK, score_BK) in enumerate(shards):
        table = pa.table(
            {
                "clip_id": names,
                "caption_id": pa.FixedSizeListArray.from_arrays(pa.array(caption_BK.ravel()), _K),
                "score": pa.FixedSizeListArray.from_arrays(pa.array(score_BK.ravel()), _K),
            }
        )
        name = part_name(*crate.at(chosen.folder, index))
        with storage.write(name, durable=False) as file:
            pq.write_table(table, file, compression="zstd", use_dictionary=False)
        report = ShardReport(shard=index, rows=len(names), seconds=0.0)
        write_marker(storage, *crate.at(chosen.folder, index), report, run_hash=chosen.hash, files={name: file})
    job = CandidatesJob(
        root=storage.url,
        pours=crate.pour_shards,
        chosen=chosen,
        vocabulary=f"{storage.url}/captions.parquet",
        embeddings_root="",
        embeddings_name="",
    )
    started = time.perf_counter()
    count_candidates([job], Engine(), clips=sum(len(names) for names, _, _ in shards), covers=crate.covers)
    return time.perf_counter() - started


def _draw(opened: OpenSlot, shards: list[Shard]) -> None:
    for names, caption_BK, _ in shards:
        counts_BK = opened.counts_N[np.searchsorted(opened.vocabulary.ids, caption_BK)]
        draw(seed=0, clip_B=_hashes(names), caption_BK=caption_BK, counts_BK=counts_BK, drawn=opened.slot.draw)


def _labels(opened: OpenSlot, shards: list[Shard]) -> None:
    for names, caption_BK, score_BK in shards:
        label_columns(opened, _hashes(names), caption_BK, score_BK, seed=0, method="inverse-frequency")


def _written(opened: OpenSlot, shards: list[Shard], file: Path) -> None:
    for names, caption_BK, score_BK in shards:
        column = label_columns(opened, _hashes(names), caption_BK, score_BK, seed=0, method="inverse-frequency")
        pq.write_table(pa.table({"clip_id": names, "captions": column}), file, compression="zstd")


def _hashes(names: list[str]) -> NDArray[np.uint64]:
    return np.array([hash_u64("clip", name) for name in names], dtype=np.uint64)


def _best(call: Callable[[], object], repeats: int = 3) -> float:

    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("crate", nargs="?", help="a labelled crate of 500 clips or more")
    parser.add_argument("--labels", default="", metavar="RUN", help="label run (default: the newest finished one)")
    parser.add_argument("--speed", action="store_true", help="measure counting and drawing")
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--captions", type=int, nargs="+", default=[30_000, 4_000_000])
    args = parser.parse_args()
    if not args.crate and not args.speed:
        parser.error("give a crate, or --speed, or both")
    code = balance(args.crate, args.labels) if args.crate else 0
    if args.speed:
        for captions in args.captions:
            speed(args.clips, captions)
    return code


if __name__ == "__main__":
    from pipeline.errors import CratedigError

    try:
        raise SystemExit(main())
    except CratedigError as error:
        raise SystemExit(f"balance: {error}") from error
