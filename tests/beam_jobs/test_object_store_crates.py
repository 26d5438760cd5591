"""Crates on real object stores: the bytes of a local one, few requests, and nothing lost on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from beam_jobs.clips import ClipsJob
from beam_jobs.engine import Engine
from labeling.embedders.by_name import embedder_card
from pipeline.crate.crate import CLIPS, Crate
from pipeline.crate.growth import pour
from pipeline.crate.ledger import LEDGER
from pipeline.crate.manifest import write_manifest
from pipeline.crate.plan import begin_pour, deal
from pipeline.crate.verify import verify_crate
from pipeline.curation.takedown import end_takedown, known_tracks, take_down
from pipeline.errors import CratedigError
from pipeline.progress import read_heartbeats
from pipeline.source.listing import list_input
from pipeline.storage import Storage
from tests.crates import CONFIG, label, mine_clips, plan_crate
from tests.stores import STORES, forget_clients, free_port, running_store

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=STORES)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket of a store of each kind."""
    with (
        running_store(request.param, tmp_path_factory.mktemp(request.param)) as client,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in client.items():
            patch.setenv(name, value)
        forget_clients()
        yield "gs://bucket" if request.param == "gcs" else "s3://bucket"
    forget_clients()


@pytest.fixture(scope="module")
def mined(store: str, music: Path, tiny_clap: Path, vocabularies: Path) -> str:
    """A finished, labelled crate there."""
    crate = plan_crate(music, f"{store}/mined", tiny_clap)  # type: ignore[arg-type]
    with Engine(workers=2) as engine:
        mine_clips(crate, engine)
        label(crate, vocabularies, engine, name="first")
    write_manifest(crate)
    return f"{store}/mined"


def test_a_crate_on_a_store_is_the_local_one(mined: str, finished_crate: Path) -> None:
    crate = Crate.open(mined)
    proof = verify_crate(crate)
    assert proof.holds, proof.faults
    assert proof.content_hash == verify_crate(Crate.open(finished_crate)).content_hash
    lying = sorted(crate.storage.listed(f"{CLIPS}/pour-00000"))
    assert lying[0] == LEDGER  # the markers are in it, and have no files of their own
    assert [name for name in lying if not name.endswith(".parquet")] == [LEDGER]
    assert not [path for path in crate.storage.fs.find(crate.storage.root) if "/." in path]
    assert ClipsJob(root=mined, pours=crate.pour_shards, embedder="", device="cpu").todo() == []


def test_two_parts_at_once_make_the_same_crate(
    request: pytest.FixtureRequest, store: str, finished_crate: Path, music: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    """By the command line, as two tasks of a scheduler do it; a minute a store."""
    if "moto" not in request.node.name and not os.environ.get("CRATEDIG_STORES"):
        pytest.skip("one store a test run is enough; CRATEDIG_STORES=1 has it run on all")
    root = plan_crate(music, f"{store}/parts", tiny_clap).storage.url  # type: ignore[arg-type]
    words = ["--device=cpu", "--workers=1"]
    labels = ["label", root, *words, "--name=first", f"--vocab=llm_lf={vocabularies}/long.parquet"]
    labels.append(f"--vocab=rater_sf={vocabularies}/short.parquet")
    clips = ["clips", root, *words, "--max-reject-share=0.5"]
    for line, parts in (
        (clips, 2),
        (clips, 0),
        ([*labels, "--step=captions"], 0),
        ([*labels, "--step=candidates"], 2),
        ([*labels, "--step=count"], 0),
        ([*labels, "--step=labels"], 2),
        (labels, 0),
    ):
        tasks = [[*line, f"--part={k}/{parts}"] for k in range(1, parts + 1)] or [line]
        running = [
            subprocess.Popen([sys.executable, "-m", "cratedig", *task], stderr=subprocess.PIPE, text=True, cwd=ROOT)
            for task in tasks
        ]
        for process in running:
            _, said = process.communicate(timeout=300)
            assert process.returncode == 0, said
    crate = Crate.open(root)
    proof = verify_crate(crate)
    assert proof.holds, proof.faults
    assert proof.content_hash == verify_crate(Crate.open(finished_crate)).content_hash
    assert not [path for path in crate.storage.fs.find(crate.storage.root) if "/." in path]


def test_a_lost_file_is_made_again(mined: str, tiny_clap: Path) -> None:
    crate = Crate.open(mined)
    crate.storage.remove(crate.clips_part(1))
    assert crate.undone(CLIPS) == [1]
    assert any("is missing" in fault for fault in verify_crate(crate).faults)
    assert mine_clips(crate, Engine(workers=1)) == 1
    assert verify_crate(crate).holds


def test_a_damaged_ledger_costs_its_shards_again(mined: str, caplog: pytest.LogCaptureFixture) -> None:
    crate = Crate.open(mined)
    name = f"{CLIPS}/pour-00000/{LEDGER}"
    whole = crate.storage.read_bytes(name)
    crate.storage.write_bytes(name, whole[:-9] + b"x" + whole[-8:])
    assert crate.undone(CLIPS) == list(crate.shards)
    assert "is damaged; shards that only it knows are done again" in caplog.text
    assert not verify_crate(crate).holds
    crate.storage.write_bytes(name, whole)
    assert crate.undone(CLIPS) == []


def test_creation_that_was_killed_before_the_header_is_taken_up(
    store: str, music: Path, tiny_clap: Path, tmp_path: Path
) -> None:
    for root in (f"{store}/half", str(tmp_path / "half")):
        listing = list_input(str(music))
        for number, (part, count) in enumerate(deal(listing.tracks, 3)):
            begin_pour(Storage(root), number, part, count, listing.source)
        crate = Crate.begin(Storage(root), CONFIG, embedder_card(str(tiny_clap)), embedder_source=str(tiny_clap))
        crate, _ = pour(crate, listing, tracks_per_shard=2)
        assert Crate.open(root).tracks == len(listing.tracks) == crate.tracks
        assert sum(len(crate.plan(shard).tracks) for shard in crate.shards) == crate.tracks


@pytest.mark.parametrize("store", ["moto"], indirect=True)  # ledgers are the same on all
def test_a_takedown_changes_markers_that_are_in_a_ledger(
    store: str, music: Path, tiny_clap: Path, vocabularies: Path
) -> None:
    crate = plan_crate(music, f"{store}/taken", tiny_clap)  # type: ignore[arg-type]
    mine_clips(crate, Engine(workers=1))
    label(crate, vocabularies, Engine(workers=1), name="first")
    known = known_tracks(crate)
    gone = next(track for track, about in known.items() if about.clips)
    crate = take_down(crate, known, [gone], reason="asked")
    end_takedown(crate)
    proof = verify_crate(crate)
    assert proof.holds, proof.faults
    assert (proof.removed, proof.clips) == (1, 16 - known[gone].clips)


def test_requests_of_a_second_look_are_counted_in_folders(mined: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """todo() lists a folder and reads its ledger, however many shards there are."""
    if mined.startswith("gs:"):
        pytest.skip("the proxy counts requests of S3")
    import os

    from benchmarks.store_proxy import counted, running_proxy

    with running_proxy(os.environ["AWS_ENDPOINT_URL"], free_port()) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        forget_clients()
        crate = Crate.open(mined)
        counted(address)
        assert crate.undone(CLIPS) == []
        met = counted(address)
        assert sum(met.values()) <= 2, met
        assert list(crate.markers(CLIPS))
        assert sum(counted(address).values()) <= 2
    forget_clients()


def test_a_store_that_refuses_a_fifth_of_all_requests_costs_time_only(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store.startswith("gs:"):
        pytest.skip("the proxy breaks requests of S3")
    import os

    from benchmarks.store_proxy import running_proxy

    broken = ("--unavailable=0.1", "--reset=0.1", "--seed=3")
    with running_proxy(os.environ["AWS_ENDPOINT_URL"], free_port(), *broken) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        forget_clients()
        storage = Storage(f"{store}/broken")
        for number in range(20):
            with storage.write(f"part-{number}.bin") as file:
                file.write(bytes([number]) * 1000)
        assert list(storage.read_many([f"part-{n}.bin" for n in range(20)])) == [bytes([n]) * 1000 for n in range(20)]
        with storage.lock():
            assert storage.exists(".lock")
        assert len(storage.list("")) == 20
    forget_clients()


def test_what_a_store_refuses_names_no_credentials(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if store.startswith("gs:"):
        pytest.skip("the emulator takes every caller")
    secret = "another-secret-that-nobody-may-print"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")  # nobody is there
    forget_clients()
    with pytest.raises((OSError, CratedigError)) as refused:
        Storage(f"{store}/refused").write_json("a.json", {})
    assert "127.0.0.1" in str(refused.value)
    assert secret not in str(refused.value)
    forget_clients()


def test_a_worker_writes_one_sign_of_life_however_many_shards(store: str) -> None:
    from pipeline import progress
    from pipeline.progress import Heartbeat, forget_beats

    storage = Storage(f"{store}/beats")
    progress._told_at = -100.0
    for shard in range(5):
        Heartbeat(storage, CLIPS, shard)({"clips": shard})
    signs = read_heartbeats(storage, CLIPS)
    assert dict(signs.counts) == {"clips": 0}
    assert list(signs.beats) == [0]
    assert len(storage.list(".progress/clips")) == 1
    forget_beats(storage, CLIPS)
