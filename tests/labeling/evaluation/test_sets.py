"""`evaluate sets` on real crates, files and recorded music, through the command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cratedig.main import main
from tests.audio_files import chord

DEMO = Path(__file__).parents[3] / "examples" / "demo_music"


def sets(tmp_path: Path, *args: str) -> dict[str, object]:
    common = ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out"), "--workers", "1", "--device", "cpu"]
    assert main(["evaluate", "sets", *args, *common]) == 0
    found: dict[str, object] = json.loads((tmp_path / "out" / "result.json").read_text())["comparisons"][0]
    return found


def files(folder: Path, count: int, *, rate: int = 24_000, first: int = 0, gain: float = 1.0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        soundfile.write(folder / f"{i:03d}.wav", gain * chord(2.0, rate, seed=i)[0], rate)
    return folder


def line(capsys: pytest.CaptureFixture[str], code: int, *args: str) -> str:
    assert main(["evaluate", *args]) == code
    said = capsys.readouterr().err.strip().splitlines()
    assert "Traceback" not in "".join(said)
    return said[-1]


def test_a_crate_with_itself_is_at_0_and_its_labeller_is_named(
    tmp_path: Path, finished_crate: Path, tiny_clap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crate = str(finished_crate)
    found = sets(tmp_path, crate, crate, "--encoder", str(tiny_clap), "--small")
    assert found["frechet"] == pytest.approx(0, abs=1e-9)
    assert found["kernel"] == pytest.approx(0, abs=1e-9)
    assert found["coverage"] == 1
    said = capsys.readouterr().out
    assert "also chose the captions of" in said
    assert (tmp_path / "out" / "index.html").read_text().count("<audio") > 0
    with np.load(next((tmp_path / "out").glob("reference-*.npz"))) as stored:
        assert {key.partition(".")[2] for key in stored.files} >= {"mu", "cov"}


def test_a_second_run_encodes_nothing_and_says_the_same_bytes(
    tmp_path: Path, tiny_clap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = files(tmp_path / "a", 20), files(tmp_path / "b", 18, first=20)
    args = [str(a), str(b), "--encoder", str(tiny_clap), "--clip-seconds", "2"]
    sets(tmp_path, *args)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    parts = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.parquet")}
    sets(tmp_path, *args)
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*.parquet")} == parts
    (b / "019.wav").unlink(missing_ok=True)
    soundfile.write(b / "021.wav", chord(2.0, 24_000, seed=999)[0], 24_000)
    assert sets(tmp_path, *args)["frechet"] != json.loads(before["result.json"])["comparisons"][0]["frechet"]


def test_stored_statistics_stand_for_a_set(tmp_path: Path, tiny_clap: Path) -> None:
    a, b = files(tmp_path / "a", 20), files(tmp_path / "b", 20, first=20)
    args = ["--encoder", str(tiny_clap), "--clip-seconds", "2"]
    first = sets(tmp_path, str(a), str(b), *args)
    stored = next((tmp_path / "out").glob("reference-*.npz")).rename(tmp_path / "kept.npz")
    assert sets(tmp_path, str(stored), str(b), *args)["frechet"] == pytest.approx(first["frechet"], rel=1e-12)


def test_files_that_cannot_be_used_are_counted_with_their_reason(
    tmp_path: Path, tiny_clap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = files(tmp_path / "a", 20), files(tmp_path / "b", 20, first=20)
    soundfile.write(b / "silent.wav", np.zeros(48_000), 24_000)
    (b / "broken.flac").write_bytes(b"fLaC" + b"\x00" * 900)
    found = sets(tmp_path, str(a), str(b), "--encoder", str(tiny_clap), "--clip-seconds", "2")
    assert found["vectors"] == [20, 20]
    out = capsys.readouterr().out
    assert "silent" in out and "left out of" in out  # noqa: PT018
    left = json.loads((tmp_path / "out" / "result.json").read_text())["left_out"]
    assert sorted(row[1] for row in left) == ["broken.flac", "silent.wav"]


def test_bad_input_gets_one_line(tmp_path: Path, tiny_clap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, few = files(tmp_path / "a", 20), files(tmp_path / "few", 5)
    quiet = files(tmp_path / "quiet", 3, gain=0.0)
    (tmp_path / "empty").mkdir()
    common = [
        "--cache",
        str(tmp_path / "c"),
        "--out",
        str(tmp_path / "o"),
        "--encoder",
        str(tiny_clap),
        "--workers",
        "1",
    ]
    assert "has 5 clips, too few for the covariance" in line(capsys, 2, "sets", str(a), str(few), *common)
    assert "at least 17 are needed" in line(capsys, 2, "sets", str(a), str(few), *common)
    assert "no clip to compare (3 silent)" in line(capsys, 2, "sets", str(a), str(quiet), *common)
    assert "no files at all" in line(capsys, 2, "sets", str(a), str(tmp_path / "empty"), *common)
    np.savez(tmp_path / "other.npz", mu=np.zeros(7), cov=np.eye(7))
    assert "of 7 dimensions" in line(capsys, 2, "sets", str(tmp_path / "other.npz"), str(a), *common)
    assert "does not exist" in line(capsys, 2, "sets", str(tmp_path / "no.npz"), str(a), *common)
    assert not (tmp_path / "o").exists()


def test_sources_below_the_encoders_rate_are_said_and_a_common_rate_takes_them_out(
    tmp_path: Path, tiny_clap: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = files(tmp_path / "a", 20), files(tmp_path / "b", 20, rate=8_000)
    args = ["--encoder", str(tiny_clap), "--clip-seconds", "2"]
    apart = sets(tmp_path, str(a), str(b), *args)
    assert "20 of 20 clips come from less than the 24000 Hz" in capsys.readouterr().out
    alike = sets(tmp_path, str(a), str(b), *args, "--rate", "8000")
    assert alike["frechet"] < apart["frechet"]
    assert not any("come from less than" in note for note in alike["notes"])  # type: ignore[attr-defined]


def test_one_side_of_a_split(tmp_path: Path, finished_crate: Path, tiny_clap: Path) -> None:
    import shutil

    crate = tmp_path / "crate"
    shutil.copytree(finished_crate, crate)
    assert main(["split", str(crate), "--by", "track", "--name", "s", "--test", "0.5", "--valid", "0"]) == 0
    args = ["--encoder", str(tiny_clap), "--small"]
    found = sets(tmp_path, f"{crate}#s/train", f"{crate}#s/test", *args)
    whole = sets(tmp_path, str(crate), str(crate), *args)
    assert sum(found["vectors"]) == whole["vectors"][0]  # type: ignore[arg-type, index]


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    """(N, 10 s) of the music that comes with cratedig, at the bundled model's rate, half overlapping."""
    import av

    rate, found = 24_000, []
    for file in sorted(DEMO.iterdir()):
        if file.suffix not in (".mp3", ".ogg", ".flac", ".opus", ".m4a", ".wav", ".aiff") or file.name[:2] in (
            "15",
            "16",
        ):
            continue
        with av.open(str(file)) as container:
            fit = av.AudioResampler("fltp", "mono", rate)
            blocks = [out.to_ndarray()[0] for frame in container.decode(audio=0) for out in fit.resample(frame)]
        track = np.concatenate(blocks)
        found += [track[s : s + 10 * rate] for s in range(0, len(track) - 10 * rate, 5 * rate)]
    return np.stack(found).astype(np.float32)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The `(hop_length|n_fft)` parameter is deprecated:FutureWarning")  # librosa 1.0
def test_known_corruptions_of_real_music_are_further_the_stronger_they_are(windows: np.ndarray) -> None:
    import librosa
    from scipy import signal

    from labeling.embedders.by_name import load_embedder
    from labeling.evaluation.frechet import frechet_distance
    from labeling.evaluation.kernel import kernel_distance
    from labeling.evaluation.moments import Moments

    embedder, rate, rng = load_embedder("bundled", device="cpu"), 24_000, np.random.default_rng(0)
    clean, judged = embedder.embed_audio(windows[1::2]), windows[::2]

    def noise(x: np.ndarray, snr_db: float) -> np.ndarray:
        level = np.sqrt((x**2).mean()) * 10 ** (-snr_db / 20)
        return x + level * rng.normal(size=x.shape)

    def low_pass(x: np.ndarray, hz: float) -> np.ndarray:
        return signal.sosfiltfilt(signal.butter(8, hz, fs=rate, output="sos"), x)

    def pitch(x: np.ndarray, semitones: float) -> np.ndarray:
        return librosa.effects.pitch_shift(x, sr=rate, n_steps=semitones)

    def tempo(x: np.ndarray, factor: float) -> np.ndarray:
        y = librosa.effects.time_stretch(x, rate=factor)
        return np.resize(y, len(x))

    def shuffled(x: np.ndarray, piece_s: float) -> np.ndarray:
        n = round(piece_s * rate)
        pieces = x[: len(x) // n * n].reshape(-1, n)
        return np.resize(pieces[rng.permutation(len(pieces))].ravel(), len(x))

    ladders = {
        noise: (25, 10, 0), low_pass: (6_000, 2_000, 500), pitch: (1, 4, 9), tempo: (1.1, 1.6, 3.0),
        shuffled: (2.0, 0.25, 0.02),
    }  # fmt: skip
    for change, strengths in ladders.items():
        changed = [judged, *(np.stack([change(x, s) for x in judged]) for s in strengths)]
        sets_of = [embedder.embed_audio(x.astype(np.float32)) for x in changed]
        frechets = [frechet_distance(Moments.of(clean), Moments.of(v)) for v in sets_of]
        kernels = [kernel_distance(clean, v) for v in sets_of]
        print(change.__name__, np.round(frechets, 4), np.round(kernels, 5))
        assert frechets == sorted(frechets), change.__name__
        assert kernels == sorted(kernels), change.__name__
