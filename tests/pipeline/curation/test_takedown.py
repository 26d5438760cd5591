"""A track that is taken down is gone from every file, stays gone, and leaves the others as they were."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from beam_jobs.engine import Engine
from cratedig.finish import finish, follow_takedown, take_down_all
from pipeline.crate.crate import Crate
from pipeline.crate.growth import compare, pour
from pipeline.crate.manifest import write_manifest
from pipeline.crate.removed import read_removed
from pipeline.crate.trained import note_training, trained_runs
from pipeline.crate.verify import verify_crate
from pipeline.curation.choose import choose
from pipeline.curation.takedown import known_tracks, with_copies
from pipeline.errors import BadInput, CrateMismatch
from pipeline.source.listing import list_input
from pipeline.storage import Storage
from tests.crates import label, plan_crate


@pytest.fixture
def crate(finished_crate: Path, tmp_path: Path) -> Crate:
    shutil.copytree(finished_crate, tmp_path / "crate")
    found = Crate.open(tmp_path / "crate")
    finish(found, report=True, run="first")
    return found


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file() and p.name != ".lock"
    }


def down(crate: Crate, *keys: str) -> Crate:
    crate = Crate.open(crate.storage.url)
    known = known_tracks(crate)
    return take_down_all(crate, known, with_copies(known, choose(known, keys=keys)), reason="artist")


def test_nothing_of_the_track_is_left_and_nothing_else_has_changed(crate: Crate) -> None:
    root = Path(crate.storage.url)
    about = next(k for k in known_tracks(crate).values() if k.track.key == "song3.ogg")
    track = about.track.track_id
    rows = pq.read_table(sorted((root / "clips").rglob("*.parquet"))).to_pylist()
    labels = {r["clip_id"]: r for r in pq.read_table(sorted((root / "labels/first").rglob("*.parquet"))).to_pylist()}
    audio = [row["audio"]["bytes"] for row in rows if row["track_id"] == track]
    assert len(audio) == 3
    down(crate, "song3.ogg")
    words = [track.encode(), b"song3", about.source_sha256.encode(), *(piece[200:264] for piece in audio)]
    found = {name for name, data in tree(root).items() for word in words if word in data}
    assert found == {"removed.parquet"}
    assert b"song3" not in (root / "removed.parquet").read_bytes()
    kept = pq.read_table(sorted((root / "clips").rglob("*.parquet"))).to_pylist()
    assert kept == [row for row in rows if row["track_id"] != track]
    left = pq.read_table(sorted((root / "labels/first").rglob("*.parquet"))).to_pylist()
    assert left == [labels[row["clip_id"]] for row in kept]
    proof = verify_crate(Crate.open(root))
    assert proof.holds, proof.faults
    assert "tracks: 8 planned = 5 written + 2 rejected + 1 removed" in proof.lines()
    assert "labels first were drawn before 1 tracks were taken down, and counted their clips" in proof.notes


def test_shards_without_the_track_keep_their_bytes(crate: Crate) -> None:
    root = Path(crate.storage.url)
    before = tree(root)
    down(crate, "song0.flac")
    changed = {
        name for name, data in tree(root).items() if name.startswith(("clips/", "labels/")) and before[name] != data
    }
    assert len([name for name in changed if name.startswith("clips/")]) == 2, "one shard and its marker"


def test_two_takedowns_commute_and_counts_are_what_a_new_count_finds(
    crate: Crate, tmp_path: Path, vocabularies: Path, lane: Engine
) -> None:
    shutil.copytree(crate.storage.url, tmp_path / "other" / "crate")
    other = Crate.open(tmp_path / "other" / "crate")
    down(crate, "song1.mp3")
    one = down(crate, "song4.m4a")
    down(other, "song4.m4a")
    two = down(other, "song1.mp3")
    assert tree(Path(one.storage.url)) == tree(Path(two.storage.url))
    counts = {p.parent.name: pq.read_table(p) for p in Path(one.storage.url).glob("candidates/*/counts.parquet")}
    for file in Path(two.storage.url).glob("candidates/*/set.json"):
        file.unlink()
    label(two, vocabularies, lane, name="first")
    for name, table in counts.items():
        assert table == pq.read_table(Path(two.storage.url) / "candidates" / name / "counts.parquet")


class Killed(BaseException):
    pass


def test_a_kill_after_any_write_is_finished_to_the_same_bytes(
    crate: Crate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(crate.storage.url, tmp_path / "calm" / "crate")
    down(Crate.open(tmp_path / "calm" / "crate"), "song2.wav", "song5.aiff")
    expected = tree(tmp_path / "calm" / "crate")

    whole = {name: getattr(Storage, name) for name in ("write_json", "rename", "remove", "write_bytes")}

    def dies_after(left: list[int], method: Callable[..., object]) -> Callable[..., object]:
        def dying(*args: object, **options: object) -> object:
            result = method(*args, **options)
            left[0] -= 1
            if not left[0]:
                raise Killed
            return result

        return dying

    moments = 0
    for moment in (1, 2, 3, 4, 6, 9, 12, 15, 19, 23, 27, 31):
        root, left = tmp_path / f"killed-{moment}" / "crate", [moment]
        shutil.copytree(crate.storage.url, root)
        for name, method in whole.items():
            monkeypatch.setattr(Storage, name, dies_after(left, method))
        try:
            down(Crate.open(root), "song2.wav", "song5.aiff")
        except Killed:
            moments += 1
        for name, method in whole.items():
            monkeypatch.setattr(Storage, name, method)
        if (root / ".takedown.json").exists():
            with pytest.raises(CrateMismatch, match="--resume"):
                Crate.open(root).require_settled()
            assert any("--resume" in fault for fault in verify_crate(Crate.open(root)).faults)
            follow_takedown(Crate.open(root))
        if not read_removed(Storage(root)):
            down(Crate.open(root), "song2.wav", "song5.aiff")
        assert tree(root) == expected, moment
    assert moments >= 10


def test_a_removed_source_does_not_come_back_under_another_name(crate: Crate, music: Path, tmp_path: Path) -> None:
    shutil.copytree(music, tmp_path / "music")
    down(crate, "song0.flac")
    (tmp_path / "music" / "song0.flac").rename(tmp_path / "music" / "innocent.flac")
    shutil.copy(tmp_path / "music" / "innocent.flac", tmp_path / "music" / "song0.flac")
    crate = Crate.open(crate.storage.url)
    found = compare(crate, list_input(str(tmp_path / "music")))
    assert (found.barred, found.new) == (2, [])
    again, _ = pour(crate, list_input(str(tmp_path / "music")))
    assert len(again.pours) == 1


def test_a_removed_id_that_is_found_is_a_fault(crate: Crate) -> None:
    root = Path(crate.storage.url)
    part = next(p for p in (root / "labels/first").rglob("*.parquet") if pq.read_metadata(p).num_rows)
    before, card = part.read_bytes(), (root / "README.md").read_text()
    clip = pq.read_table(part, columns=["clip_id"])[0][0].as_py()
    known = known_tracks(crate)
    crate = down(crate, known[clip.partition("-")[0]].track.key)
    part.write_bytes(before)
    (root / "README.md").write_text(card + clip)
    faults = verify_crate(Crate.open(root)).faults
    assert any("was changed after it was written" in fault for fault in faults)
    assert any("was taken down and is named in README.md" in fault for fault in faults)


def test_what_cannot_be_meant_is_one_line(crate: Crate, tmp_path: Path) -> None:
    known = known_tracks(crate)
    asked: list[tuple[dict[str, list[str]], str]] = [
        ({"tracks": ["t00"]}, "id 't00'"),
        ({"artists": ["Nobody"]}, "artist 'Nobody'"),
        ({"keys": ["x"]}, "name 'x'"),
    ]
    for which, hint in asked:
        with pytest.raises(BadInput, match=f"no track of the crate has the {hint}; nothing was taken out"):
            choose(known, **which)
    (tmp_path / "list.csv").write_text("song,who\na,b\n")
    with pytest.raises(BadInput, match="has the columns song, who; expected track_id or source_sha256"):
        choose(known, lists=[str(tmp_path / "list.csv")])
    some = next(iter(known))
    (tmp_path / "ids.txt").write_text(f"{some}\nt-of-another-crate\n")
    assert choose(known, lists=[str(tmp_path / "ids.txt")]) == {some}


def test_labels_drawn_after_a_takedown_are_those_of_a_crate_that_never_had_it(
    crate: Crate, music: Path, tmp_path: Path, tiny_clap: Path, vocabularies: Path, lane: Engine
) -> None:
    from tests.crates import mine_clips

    down(crate, "song3.ogg")
    label(Crate.open(crate.storage.url), vocabularies, lane, name="first")
    shutil.copytree(music, tmp_path / "music", ignore=shutil.ignore_patterns("song3.ogg"))
    fresh = plan_crate(tmp_path / "music", tmp_path / "fresh", tiny_clap)
    mine_clips(fresh, lane)
    label(fresh, vocabularies, lane, name="first")
    rows = [
        sorted(pq.read_table(sorted((root / "labels").rglob("*.parquet"))).to_pylist(), key=lambda r: r["clip_id"])
        for root in (Path(crate.storage.url), tmp_path / "fresh")
    ]
    assert rows[0] == rows[1]
    write_manifest(Crate.open(crate.storage.url))
    assert verify_crate(Crate.open(crate.storage.url)).holds


def test_runs_that_were_trained_before_are_named(crate: Crate, capsys: pytest.CaptureFixture[str]) -> None:
    note_training(crate, "runs/small", "superres16")
    note_training(crate, "runs/small", "superres16")
    assert trained_runs(crate) == [{"run": "runs/small", "stage": "superres16", "crate": crate.clips_hash}]
    after = down(crate, "song3.ogg")
    assert "trained on it before: runs/small (superres16); a takedown does not reach into a model" in (
        capsys.readouterr().out
    )
    note_training(after, "runs/small", "superres16")
    assert [run["crate"] for run in trained_runs(after)] == [crate.clips_hash, after.clips_hash]
    assert verify_crate(after).holds
