"""Copies among recorded music: how many `cratedig dedup` finds, and what it takes for a copy that is none.

python -m benchmarks.doubles MUSIC --work FOLDER --tracks 200 --copies 60

Takes the first 100 s of `--tracks` files below MUSIC (chosen by hash, none that is short), makes copies of some in
seven ways with the `ffmpeg` command, mines the clips of all, and compares the groups with what was made.
Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.crate.crate import Crate
from pipeline.curation.doubles import COHERENCE, COSINE, ERROR, find_doubles, read_clips
from pipeline.curation.likeness.neighbours import near
from pipeline.curation.split import described_tracks
from pipeline.ids import hash_u64

SUFFIXES = (".ogg", ".mp3", ".flac", ".opus", ".wav")
NOISE = "[0:a]volume=0.8[a];anoisesrc=a={level}:c=white:r=44100[n];[a][n]amix=inputs=2:duration=first:normalize=0"
WAYS = {
    "mp3-64k": ("mp3", ["-c:a", "libmp3lame", "-b:a", "64k"]),
    "opus-32k": ("opus", ["-c:a", "libopus", "-b:a", "32k"]),
    "minus-12-dB": ("flac", ["-af", "volume=-12dB"]),
    "plus-5-s": ("flac", ["-af", "adelay=5000:all=1"]),
    "mono": ("flac", ["-ac", "1"]),
    "8-kHz": ("wav", ["-ar", "8000"]),
    "noise-20-dB": ("flac", []),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--tracks", type=int, default=200)
    parser.add_argument("--copies", type=int, default=60)
    parser.add_argument("--clips-per-track", type=int, default=3)
    parser.add_argument(
        "--growth", default="", help="also the search among so many clips drawn like these, such as 10000,100000"
    )
    args = parser.parse_args()
    folder, crate = args.work / "in", args.work / "crate"
    if not (args.work / "made.json").exists():
        (args.work / "made.json").write_text(json.dumps(make(args.music, folder, args.tracks, args.copies)))
    made = json.loads((args.work / "made.json").read_text())
    options = ["--clips-per-track", str(args.clips_per_track)]
    cratedig("plan", str(folder), "--out", str(crate), *options)
    cratedig("clips", str(crate), "--workers", "1")
    found = Crate.open(crate)
    print(json.dumps(judge(found, made) | growth(found, made, args.growth), indent=1))


def make(music: Path, folder: Path, tracks: int, copies: int) -> dict[str, str]:
    """Name of a copy -> name of what it is a copy of."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [f for f in sorted(music.rglob("*")) if f.suffix.lower() in SUFFIXES and f.stat().st_size > 300_000]
    files.sort(key=lambda file: hash_u64("doubles", file.relative_to(music).as_posix()))
    names: list[str] = []
    for file in files:
        name = f"{len(names):03d}-{file.stem}.flac"
        if len(names) < tracks and ffmpeg(["-i", str(file), "-t", "100"], folder / name, least_bytes=3_000_000):
            names.append(name)
    made = {}
    for number in range(copies):
        way = list(WAYS)[number % len(WAYS)]
        suffix, options = WAYS[way]
        of = names[number * len(names) // copies]
        source = ["-i", str(folder / of)]
        if way == "noise-20-dB":
            level = 0.8 * rms(folder / of) / 10 * np.sqrt(3)  # white noise of amplitude a has a power of a * a / 3
            source += ["-filter_complex", NOISE.format(level=f"{level:.6f}")]
        copy = f"copy-{number:03d}-{way}.{suffix}"
        if not ffmpeg([*source, *options], folder / copy):
            sys.exit(f"ffmpeg cannot make {copy}")
        made[copy] = of
    return made


def ffmpeg(arguments: list[str], to: Path, *, least_bytes: int = 10_000) -> bool:
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, "-vn", "-map_metadata", "-1", str(to)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode or to.stat().st_size < least_bytes:
        to.unlink(missing_ok=True)
        return False
    return True


def rms(file: Path) -> float:
    import soundfile

    samples, _ = soundfile.read(file, dtype="float32", always_2d=True)
    return float(np.sqrt(np.mean(samples**2)))


def cratedig(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "cratedig", *arguments], check=True, stdout=sys.stderr)


def judge(crate: Crate, made: dict[str, str]) -> dict[str, object]:
    """Recall by way, false pairs, and how near the bounds true and false pairs come."""
    name = {track: str(known.row["source_key"]) for track, known in described_tracks(crate).items()}
    one = {key: made.get(key, key).partition("-")[2] for key in name.values()}  # a collection has doubles of its own
    near: dict[tuple[str, str], tuple[float, float]] = {}
    for pair in find_doubles(crate, error=0.45, common=0.0).pairs:
        a, b = sorted(name[clip.rpartition("-")[0]] for clip in (pair.clip_a, pair.clip_b))
        near[a, b] = min(near.get((a, b), (1.0, 0.0)), (pair.error, pair.coherence), key=lambda both: both[0] - both[1])
    true = {pair: found for pair, found in near.items() if one[pair[0]] == one[pair[1]]}
    false = {pair: found for pair, found in near.items() if one[pair[0]] != one[pair[1]]}
    started = time.monotonic()
    doubles = find_doubles(crate)
    seconds = time.monotonic() - started
    group = {name[track]: label for label, (_, members) in doubles.groups.items() for track in members}
    lost = [copy for copy, of in made.items() if copy in one and of in one and group.get(copy, 0) != group.get(of, 1)]
    own = sum(1 for pair, (e, c) in near.items()
              if e <= ERROR and c >= COHERENCE and not any(n.startswith("copy") for n in pair))  # fmt: skip
    wrong = [sorted(name[t] for t in m) for _, m in doubles.groups.values() if len({one[name[t]] for t in m}) > 1]
    worst = {way: [found for pair, found in true.items() if way in str(pair)] for way in WAYS}
    return {
        "tracks": len(name), "copies": sum(copy in one for copy in made), "clips": doubles.clips,
        "doubles of the collection's own": own,
        "candidates": doubles.candidates, "copies not found": lost, "groups of different names": wrong,
        "pairs with the same notes and another waveform": doubles.apart,
        "worst error and coherence of a copy by way": {
            way: (max(e for e, _ in found), min(c for _, c in found)) for way, found in worst.items() if found
        },
        "different names, nearest by error and coherence": sorted((e, c, *p) for p, (e, c) in false.items())[:10],
        "seconds": round(seconds, 1),
    }  # fmt: skip


def growth(crate: Crate, made: dict[str, str], sizes: str) -> dict[str, object]:
    """Seconds and recall of the search for candidates among embeddings drawn like the crate's: of the same mean and
    covariance, with a copy of each hundredth clip that differs from it as a copy of the trial does from its own."""
    clips, _, embedding_ND = read_clips(crate)
    name = {track: str(known.row["source_key"]) for track, known in described_tracks(crate).items()}
    at = {(name[clip.rpartition("-")[0]], clip.rpartition("-")[2]): n for n, clip in enumerate(clips)}
    copies = [(at[of, start], n) for (key, start), n in at.items() if (of := made.get(key, "")) and (of, start) in at]
    change_CD = np.stack([embedding_ND[copy] - embedding_ND[of] for of, copy in copies])
    dice, found = np.random.default_rng(0), {}
    for size in map(int, filter(None, sizes.split(","))):
        drawn = dice.multivariate_normal(embedding_ND.mean(0), np.cov(embedding_ND, rowvar=False), size, method="eigh")
        own = np.arange(0, size, 100)
        drawn = np.concatenate([drawn, drawn[own] + change_CD[dice.integers(0, len(change_CD), len(own))]])
        drawn = (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)
        some = dice.choice(size, (2, 100_000))
        alike = np.quantile(np.einsum("nd,nd->n", drawn[some[0]], drawn[some[1]]), (0.5, 0.99)).round(3).tolist()
        said: dict[str, object] = {"cosines of other clips, median and 99 %": alike}
        for way in ("exact", "cells"):
            started = time.monotonic()
            pairs, _ = near(drawn, np.arange(len(drawn)), COSINE, exact=way == "exact")
            seconds = time.monotonic() - started
            ids = {(a, b) for a, b, _ in pairs}
            recall = float(np.mean([(int(a), size + k) in ids for k, a in enumerate(own)]))
            said[way] = {"seconds": round(seconds, 1), "pairs": len(pairs), "copies found": round(recall, 4)}
        found[size] = said
        print(size, said, file=sys.stderr, flush=True)
    return {"search for candidates": found} if found else {}


if __name__ == "__main__":
    main()
