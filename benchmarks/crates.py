"""Crates that grow and lose tracks, on recorded music, by the real commands and with real kills.

    python -m benchmarks.crates grow MUSIC        three pours beside one: the same rows, the same captions
    python -m benchmarks.crates takedown MUSIC    a byte search after takedowns, what stays, two orders, what follows
    python -m benchmarks.crates kills MUSIC       20 SIGKILLs of a takedown and of a growth: the crate of the calm run

MUSIC is a folder; the first --tracks sound files in it, by name, (60). Clips of 10 s, two a track, vocabularies
of 2,000 captions: the runs are about bookkeeping.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.faults import few_captions
from pipeline.crate.crate import Crate
from pipeline.crate.verify import verify_crate
from pipeline.curation.takedown import Known, known_tracks

CRATEDIG = (sys.executable, "-m", "cratedig")
_SUFFIXES = (".ogg", ".mp3", ".flac", ".wav", ".opus", ".m4a")
_WORDS = 64
"""Bytes of each clip's FLAC, from its middle, that are searched for."""


def mine(source: Path, out: Path, captions: Sequence[str]) -> list[str]:
    options = ("--workers=2", "--max-reject-share=1", "--clip-seconds=10", "--clips-per-track=2", "--name=run")
    return [*CRATEDIG, "mine", str(source), "--out", str(out), *options, *captions]


def run(command: Sequence[str]) -> float:
    """Seconds; raises where it fails."""
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - started


def rows(crate: Path, folder: str) -> dict[str, dict[str, object]]:
    return {
        row["clip_id"]: row for f in sorted((crate / folder).rglob("*.parquet")) for row in pq.read_table(f).to_pylist()
    }


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file() and p.name != ".lock"
    }


def content(crate: Path) -> str:
    return verify_crate(Crate.open(crate)).content_hash


def pick(music: Path, tracks: int) -> list[Path]:
    found = sorted(p for p in music.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file())
    if len(found) < tracks:
        sys.exit(f"{music} holds {len(found)} sound files, {tracks} are wanted")
    return found[:tracks]


def put(files: Sequence[Path], folder: Path) -> Path:
    """Under their own names below a folder of their own, since names may come twice."""
    for file in files:
        place = folder / file.parent.name / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    return folder


def grow(files: list[Path], root: Path, captions: Sequence[str]) -> int:
    bounds = (0, len(files) // 3, 2 * len(files) // 3, len(files))
    for number in range(3):
        music = put(files[bounds[number] : bounds[number + 1]], root / "music")
        print(
            f"pour {number}: {bounds[number + 1]} tracks in {run(mine(music, root / 'grown', captions)):.0f} s",
            flush=True,
        )
    print(f"at once: {run(mine(root / 'music', root / 'once', captions)):.0f} s")
    same = True
    for what in ("clips", "labels/run"):
        grown, once = rows(root / "grown", what), rows(root / "once", what)
        same &= grown == once
        print(f"{what}: {len(grown)} rows grown, {len(once)} at once, {'equal' if grown == once else 'NOT equal'}")
    return 0 if same and verify_crate(Crate.open(root / "grown")).holds else 1


def takedown_of(crate: Path, *tracks: str) -> list[str]:
    options = [f"--track={track}" for track in tracks]
    return [*CRATEDIG, "takedown", str(crate), *options, "--reason=request", "--yes"]


def words_of(about: Known, crate: Path) -> list[bytes]:
    """What must not be found: id, name, title, artist, hash, and a piece of each clip's audio."""
    mine = [row for row in rows(crate, "clips").values() if row["track_id"] == about.track.track_id]
    names = {
        about.track.track_id,
        about.track.key,
        about.source_sha256,
        *about.artists,
        *(str(r["title"]) for r in mine),
    }
    found = [name.encode() for name in names if len(name) > 4]
    for row in mine:
        for column in ("audio", "audio_16k"):
            flac = row[column]["bytes"]  # type: ignore[index]
            found.append(flac[len(flac) // 2 : len(flac) // 2 + _WORDS])
    return found


def takedown(files: list[Path], root: Path, captions: Sequence[str]) -> int:
    music = put(files, root / "music")
    print(f"mined {len(files)} tracks in {run(mine(music, root / 'a' / 'crate', captions)):.0f} s", flush=True)
    shutil.copytree(root / "a", root / "b")
    one, two = root / "a" / "crate", root / "b" / "crate"
    known = known_tracks(Crate.open(one))
    with_clips = sorted(track for track, about in known.items() if about.clips)
    first, second = with_clips[len(with_clips) // 3], with_clips[2 * len(with_clips) // 3]
    words = [word for track in (first, second) for word in words_of(known[track], one)]
    others = {word for track in with_clips if track not in (first, second) for word in words_of(known[track], one)}
    words = [word for word in words if word not in others]  # an artist of other tracks stays
    before, labels = rows(one, "clips"), rows(one, "labels/run")
    print(f"takedowns: {run(takedown_of(one, first)):.0f} s, {run(takedown_of(one, second)):.0f} s", flush=True)
    run(takedown_of(two, second))
    run(takedown_of(two, first))
    commute = tree(one) == tree(two)
    where = sorted({name for name, data in tree(one).items() for word in words if word in data})
    gone = {first, second}
    kept = {clip: row for clip, row in before.items() if row["track_id"] not in gone}
    stay = rows(one, "clips") == kept and rows(one, "labels/run") == {clip: labels[clip] for clip in kept}
    proof = verify_crate(Crate.open(one))
    print(f"{len(words)} ids, names, hashes and pieces of audio are found in: {', '.join(where)}")
    order = "equal" if commute else "NOT equal"
    print(f"other clips and captions {'as they were' if stay else 'CHANGED'}; two orders: {order}")
    print(proof.lines()[0])
    again = subprocess.run(mine(music, one, captions), check=True, capture_output=True, text=True).stdout
    print(next(line for line in again.splitlines() if "taken down" in line).strip())
    for track in gone:
        (music / known[track].track.key).unlink()
    run(mine(music, root / "fresh", captions))
    fresh = rows(one, "labels/run") == rows(root / "fresh", "labels/run")
    print(f"labels drawn after it, beside a crate that never had them: {'equal' if fresh else 'NOT equal'}")
    return 0 if where == ["removed.parquet"] and stay and commute and proof.holds and fresh else 1


def kills(files: list[Path], root: Path, captions: Sequence[str], count: int, of: str) -> int:
    half = put(files[: len(files) // 2], root / "half")
    run(mine(half, root / "start" / "crate", captions))
    whole = put(files, root / "half")
    known = known_tracks(Crate.open(root / "start" / "crate"))
    gone = sorted(track for track, about in known.items() if about.clips)[:3]
    failed = 0
    for name, resume in (("takedown", ["--resume"]), ("growth", [])):
        if of not in (name, "both"):
            continue
        shutil.rmtree(root / "calm", ignore_errors=True)
        shutil.copytree(root / "start", root / "calm")

        def command(crate: Path, name: str = name) -> list[str]:
            return takedown_of(crate, *gone) if name == "takedown" else [*mine(whole, crate, captions), "--no-report"]

        length = run(command(root / "calm" / "crate"))
        expected = content(root / "calm" / "crate")
        print(f"{name}, undisturbed: {expected} in {length:.0f} s", flush=True)
        dice, same, done = random.Random(0), 0, 0
        while done < count:
            shutil.rmtree(root / "work", ignore_errors=True)
            shutil.copytree(root / "start", root / "work")
            crate = root / "work" / "crate"
            process = subprocess.Popen(command(crate), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0.1, 1.0) * length)
            if process.poll() is not None:
                continue  # it had ended already: another moment
            process.send_signal(signal.SIGKILL)
            process.wait()
            done += 1
            journal = (crate / ".takedown.json").exists()
            if resume:
                subprocess.run([*CRATEDIG, "takedown", str(crate), *resume], check=True, capture_output=True)
            if not resume or not (crate / "removed.parquet").exists():
                run(command(crate))
            same += content(crate) == expected and verify_crate(Crate.open(crate)).holds
            print(f"  kill {done:2}: {'half done' if journal else 'before or after'}, {same} the same", flush=True)
        print(f"{name}: {same} of {count} crates are that of the undisturbed run", flush=True)
        failed += same != count
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grow", "takedown", "kills"))
    parser.add_argument("music", type=Path)
    parser.add_argument("--tracks", type=int, default=60)
    parser.add_argument("--count", type=int, default=20, help="kills of each kind (default: 20)")
    parser.add_argument("--of", choices=("takedown", "growth", "both"), default="both", help="what is killed")
    args = parser.parse_args()
    files = pick(args.music, args.tracks)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        captions = few_captions(root)
        if args.what == "kills":
            return kills(files, root, captions, args.count, args.of)
        return (grow if args.what == "grow" else takedown)(files, root, captions)


if __name__ == "__main__":
    sys.exit(main())
