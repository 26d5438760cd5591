"""What the driver itself costs, apart from the shards' work: calls, seconds and memory by the number of shards.

    python -m benchmarks.driver local 1000 10000 100000 200000    todo, counts, manifest, verify on synthetic crates
    python -m benchmarks.driver s3 200000                         requests of todo() against a real versitygw
    python -m benchmarks.driver requests 6 12                     requests of a whole mine with two vocabularies
    python -m benchmarks.driver vocabulary 4000000                a worker's private memory for so many captions
    python -m benchmarks.driver plan 1000000                      listing, planning and resuming so many tracks

A synthetic crate has everything that the driver reads: header, plan, markers and ledgers. Up to 20,000 shards its parts
are real Parquet files of five tracks; beyond, stand-ins that are links to one another, of a track (no verify there).
Each measurement runs in a process of its own; memory is its peak resident set.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.faults import DEMO_MUSIC, few_captions, mine
from labeling.embedders.by_name import embedder_card
from pipeline.config import ClipsConfig
from pipeline.crate.crate import CLIPS, REJECTS, Crate
from pipeline.crate.ledger import fold, read_markers
from pipeline.crate.manifest import shard_counts, write_manifest
from pipeline.crate.plan import begin_pour, deal, pour_name
from pipeline.crate.schema import rejects_schema
from pipeline.crate.seals import seal
from pipeline.crate.shards import marker_name, part_name
from pipeline.crate.verify import verify_crate
from pipeline.ids import clip_id, track_id
from pipeline.records import Track
from pipeline.storage import Storage
from vocab.mapped import map_texts
from vocab.store import Vocabulary, VocabularyCard, vocabulary_ids, write_vocabulary

REAL_UP_TO = 20_000


def tracks_a_shard(shards: int) -> int:
    return 5 if shards <= REAL_UP_TO else 1


def make_crate(root: Path, shards: int) -> Crate:
    """A finished synthetic crate with `shards` shards of clips."""
    storage, each = Storage(root), tracks_a_shard(shards)
    keys = [f"{number % 997:03d}/track-{number:08d}.flac" for number in range(shards * each)]
    tracks = sorted((_track(key) for key in keys), key=lambda track: track.track_id)
    pours = tuple(
        begin_pour(storage, number, part, count, "synthetic") for number, (part, count) in enumerate(deal(tracks, each))
    )
    crate = Crate(
        storage=storage, config=ClipsConfig(), embedder=embedder_card("bundled"), embedder_source="bundled", pours=pours
    )
    crate.write_header()
    for folder in (CLIPS, REJECTS):
        for number in range(len(pours)):
            (root / folder / pour_name(number)).mkdir(parents=True)
    nothing = io.BytesIO()
    pq.write_table(rejects_schema().empty_table(), nothing)
    index = 0
    for pour in pours:
        for _ in range(pour.shards):
            mine = tracks[index * each : (index + 1) * each]
            _write_shard(crate, index, mine, _clips(mine) if shards <= REAL_UP_TO else b"stand-in", nothing.getvalue())
            index += 1
    for number in range(len(pours)):
        fold(storage, f"{CLIPS}/{pour_name(number)}")
    return crate


def _track(key: str) -> Track:
    return Track(
        track_id=track_id(key), key=key, path=f"/music/{key}", title="", artist="", album="", isrc="", tags=(),
        licence="", extra=(),
    )  # fmt: skip


def _clips(tracks: list[Track]) -> bytes:
    rows = [(clip_id(track.track_id, 30.0 * index), track.track_id, index) for track in tracks for index in range(6)]
    out = io.BytesIO()
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(dict(zip(("clip_id", "track_id", "index"), columns, strict=True))), out)
    return out.getvalue()


def _write_shard(crate: Crate, index: int, tracks: list[Track], clips: bytes, rejects: bytes) -> None:
    at, root = crate.at(CLIPS, index), Path(crate.storage.path(""))
    files = {part_name(*at): clips, part_name(*crate.at(REJECTS, index)): rejects}
    wrote = {}
    for name, data in files.items():
        first = part_name(crate.at(name.split("/")[0], index)[0], 0, crate.at(CLIPS, index)[2])
        if len(crate.shards) > REAL_UP_TO and name != first:
            (root / name).hardlink_to(root / first)
        else:
            (root / name).write_bytes(data)
        wrote[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    counts = {"clips": 6 * len(tracks), "tracks": len(tracks), "tracks_rejected": 0, "tracks_removed": 0}
    marker = {"shard": index, "rows": 6 * len(tracks), "seconds": 1.0, "counts": counts, "files": wrote}
    (root / marker_name(*at)).write_text(json.dumps(seal(marker | {"run_hash": crate.shard_hash(index)})))


def measure(step: str, root: str) -> None:
    """One step in this process; prints its seconds and the memory that it took beyond the imports."""
    before = peak_mib()
    crate, started = Crate.open(root), time.monotonic()
    if step == "todo":
        left = crate.undone(CLIPS)
        assert not left, f"{len(left)} shards are not done"
    elif step == "todo without ledger":
        for number in range(len(crate.pours)):
            crate.storage.remove(f"{CLIPS}/{pour_name(number)}/done.ledger")
        assert not crate.undone(CLIPS)
        started_again = time.monotonic() - started
        for number in range(len(crate.pours)):
            fold(crate.storage, f"{CLIPS}/{pour_name(number)}")
        started = time.monotonic() - started_again
    elif step == "counts":
        assert shard_counts(crate)["clips"] == 6 * tracks_a_shard(len(crate.shards)) * len(crate.shards)
    elif step == "manifest":
        write_manifest(crate)
    elif step == "plan rows":
        assert sum(len(crate.plan(index).tracks) for index in crate.shards) == crate.tracks
    elif step == "verify":
        assert verify_crate(crate).holds
    seconds = time.monotonic() - started
    print(f"{len(crate.shards):7,} shards  {step:20} {seconds:8.2f} s  {peak_mib():7.0f} MiB ({before:.0f} before)")


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def local(counts: list[int], keep: str) -> None:
    for shards in counts:
        with _folder(keep, shards) as root:
            if not (root / "crate.json").exists():
                make_crate(root, shards)
            steps = ["todo", "todo without ledger", "counts", "manifest", "plan rows"]
            for step in steps + (["verify"] if shards <= REAL_UP_TO else []):
                _again("step", step, str(root))


class _folder:
    """A folder for a synthetic crate: kept below `keep` where that is given."""

    def __init__(self, keep: str, shards: int) -> None:
        self._temporary = None if keep else tempfile.TemporaryDirectory()
        self.root = Path(keep or self._temporary.name) / f"crate-{shards}"  # type: ignore[union-attr]

    def __enter__(self) -> Path:
        return self.root

    def __exit__(self, *error: object) -> None:
        if self._temporary is not None:
            self._temporary.cleanup()


def s3(counts: list[int], keep: str) -> None:
    """The crate is made in the folder that versitygw serves, its markers in the ledgers alone, as a run leaves it."""
    from benchmarks.store_proxy import counted, running_proxy
    from tests.stores import free_port, running_store

    for shards in counts:
        with _folder(keep, shards) as root:
            served = root.with_name(f"served-{shards}")
            if not (served / "bucket" / "crate" / "crate.json").exists():
                _move_markers(make_crate(served / "bucket" / "crate", shards))
            with (
                running_store("versitygw", served) as client,
                running_proxy(client["AWS_ENDPOINT_URL"], free_port()) as address,
            ):
                os.environ.update(client | {"AWS_ENDPOINT_URL": address})
                for step in ("todo", "counts", "manifest"):
                    counted(address)
                    _again("step", step, "s3://bucket/crate")
                    print(f"  requests: {counted(address)}")


def _move_markers(crate: Crate) -> None:
    """Into the ledgers, as on an object store."""
    for number in range(len(crate.pours)):
        folder = f"{CLIPS}/{pour_name(number)}"
        markers, _ = read_markers(crate.storage, folder)
        for name in markers:
            crate.storage.remove(f"{folder}/{name}")
        fold(crate.storage, folder, {name: seal(marker) for name, marker in markers.items()})


def requests(counts: list[int]) -> None:
    """A mine of that many of the demo's tracks, a track a shard, clips of 10 s, on a real versitygw."""
    from benchmarks.store_proxy import counted, running_proxy
    from tests.stores import free_port, running_store

    sums: list[int] = []
    with tempfile.TemporaryDirectory() as folder, running_store("versitygw", Path(folder) / "store") as client:
        captions = few_captions(Path(folder))
        tracks = sorted(
            p for p in DEMO_MUSIC.iterdir() if p.suffix in (".mp3", ".ogg", ".flac", ".opus", ".m4a", ".wav")
        )
        with running_proxy(client["AWS_ENDPOINT_URL"], free_port()) as address:
            for shards in counts:
                music = Path(folder) / f"music-{shards}"
                music.mkdir()
                for track in tracks[:shards]:
                    (music / track.name).symlink_to(track)
                command = [*mine(music, Path("crate"), *captions), "--tracks-per-shard=1", "--clip-seconds=10"]
                command[command.index("--out") + 1] = f"s3://bucket/crate-{shards}"
                command.remove("--no-report")
                counted(address)
                environment = os.environ | client | {"AWS_ENDPOINT_URL": address}
                subprocess.run(command, check=True, capture_output=True, env=environment)
                met = counted(address)
                sums.append(sum(met.values()))
                print(f"{shards} shards: {sums[-1]} requests {met}", flush=True)
    for shards, met_in_all, before, less in zip(counts[1:], sums[1:], counts, sums, strict=False):
        print(f"each shard from {before} to {shards}: {(met_in_all - less) / (shards - before):.1f} requests")


def vocabulary(captions: int) -> None:
    """A worker's memory for ids, and for ids and texts, of a vocabulary of so many captions of about 90 characters."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.parquet"
        _again("make-vocabulary", str(captions), str(path))
        os.environ["XDG_CACHE_HOME"] = folder
        for what in ("ids", "texts", "mapped", "mapped", "all"):
            _again("vocabulary-memory", what, str(path))


def make_vocabulary(captions: int, path: str) -> None:
    from pipeline.ids import caption_id

    texts = [
        f"a calm piece number {n} with a slow piano, soft strings and warm pads that fade out" for n in range(captions)
    ]
    said = json.dumps({"model": "none", "prompt": "0" * 16, "seed": 1, "sample": 0, "song_row": 123456})
    table = pa.table(
        {
            "caption_id": [f"{caption_id(text):016x}" for text in texts],
            "text": texts,
            **{name: pa.repeat(pa.scalar(value), captions) for name, value in
               (("kind", "long"), ("source", "llm"), ("licence", "CC0-1.0"), ("provenance", said))},
            "facts": pa.nulls(captions, pa.list_(pa.string())),
        }
    )  # fmt: skip
    card = VocabularyCard(name="many", kind="long", source="llm", licence="CC0-1.0", evaluation_derived=False)
    write_vocabulary(path, table, card)


def vocabulary_memory(what: str, path: str) -> None:
    def private_mib() -> float:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024  # not what is mapped

    before = private_mib()
    if what == "ids":
        held: object = vocabulary_ids(path)
    elif what == "mapped":
        held = map_texts(path)
    else:
        held = Vocabulary.load(path, columns=("caption_id", "text")) if what == "texts" else Vocabulary.load(path)
    print(f"  {what:6} {private_mib() - before:7.0f} MiB private, peak {peak_mib():.0f} MiB ({type(held).__name__})")


def plan(tracks: int) -> None:
    """`cratedig plan` of a CSV list, then the same command again."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "songs.csv"
        with listed.open("w") as file:
            file.write("path,title,artist\n")
            file.writelines(
                f"/music/{n % 997:03d}/track-{n:08d}.flac,song {n},artist {n % 5000}\n" for n in range(tracks)
            )
        for run in ("first", "again"):
            started = time.monotonic()
            command = [sys.executable, "-m", "cratedig", "plan", str(listed), "--out", f"{folder}/crate"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            assert os.waitstatus_to_exitcode(status) == 0
            seconds = time.monotonic() - started
            print(f"{tracks:,} tracks, plan {run}: {seconds:.1f} s, {usage.ru_maxrss / 1024:.0f} MiB")


def _again(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "benchmarks.driver", *arguments], check=True)


def main(given: list[str]) -> None:
    match given:
        case ["step", step, root]:
            measure(step, root)
        case ["make-vocabulary", captions, path]:
            make_vocabulary(int(captions), path)
        case ["vocabulary-memory", what, path]:
            vocabulary_memory(what, path)
        case _:
            parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
            parser.add_argument("what", choices=("local", "s3", "requests", "vocabulary", "plan"))
            parser.add_argument("numbers", type=int, nargs="+")
            parser.add_argument(
                "--keep", default="", metavar="FOLDER", help="keep synthetic crates there for next time"
            )
            args = parser.parse_args(given)
            if args.what in ("local", "s3"):
                (local if args.what == "local" else s3)(args.numbers, args.keep)
            elif args.what == "requests":
                requests(args.numbers)
            else:
                for number in args.numbers:
                    (vocabulary if args.what == "vocabulary" else plan)(number)


if __name__ == "__main__":
    main(sys.argv[1:])
