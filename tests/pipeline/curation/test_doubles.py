"""Doubles: copies are found whatever was done to them, other music is not, and export and training follow."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from cratedig.main import main
from diffusion.data.crate_data import CrateClips
from pipeline.crate.crate import Crate
from pipeline.curation.doubles import find_doubles
from pipeline.curation.likeness.fingerprint import compare, fingerprint
from pipeline.curation.likeness.neighbours import near
from pipeline.curation.likeness.wave import WAVE_HZ, coherence
from pipeline.curation.tables import groups_of, left_out_tracks
from tests.pipeline.curation.music import crate_of, piece

SONG = piece(1, 20.0, 16_000)


def noisy(sound, decibels):
    noise = np.random.default_rng(5).standard_normal(len(sound)) * np.sqrt(np.mean(sound**2)) * 10 ** (-decibels / 20)
    return (sound + noise).astype(np.float32)


@pytest.mark.parametrize(
    ("copy", "offset_s", "most"),
    [
        (SONG, 0.0, 0.0),
        (0.25 * SONG, 0.0, 0.001),
        (np.round(SONG * 60) / 60, 0.0, 0.15),
        (noisy(SONG, 20), 0.0, 0.25),
        (np.concatenate([np.zeros(80_000), SONG[:-80_000]]), -5.0, 0.05),
        (SONG[48_000:], 3.0, 0.1),
        (np.convolve(SONG, np.ones(4) / 4, "same"), 0.0, 0.1),
        (-SONG, 0.0, 0.0),
    ],
)
def test_a_copy_differs_in_few_bits_at_its_offset(copy, offset_s, most):
    match = compare(fingerprint(SONG), fingerprint(copy.astype(np.float32)), least_s=5.0)
    assert match.error <= most
    assert match.offset_s == pytest.approx(offset_s, abs=0.05)
    back = compare(fingerprint(copy.astype(np.float32)), fingerprint(SONG), least_s=5.0)
    assert back.offset_s == -match.offset_s


def test_other_music_differs_in_more_bits_wherever_it_is_laid():
    prints = [fingerprint(piece(seed, 20.0, 16_000)) for seed in range(2, 12)]
    errors = [compare(a, b, least_s=5.0).error for i, a in enumerate(prints) for b in prints[:i]]
    assert len(errors) == 45
    assert min(errors) > 0.38


def test_silence_is_like_nothing():
    silence = fingerprint(np.zeros(160_000, np.float32))
    assert compare(silence, fingerprint(SONG), least_s=5.0) is None
    assert compare(silence, silence, least_s=5.0) is None or not silence.heard_F.any()
    assert compare(fingerprint(np.zeros(10, np.float32)), fingerprint(SONG), least_s=5.0) is None


def test_near_finds_what_all_pairs_have():
    draw = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    draw /= np.linalg.norm(draw, axis=1, keepdims=True)
    source = np.arange(300) // 3
    found, crowded = near(draw, source, 0.8)
    score = draw @ draw.T
    expected = {(i, j) for i in range(300) for j in range(i) if score[i, j] >= 0.8 and source[i] != source[j]}
    assert {(b, a) for a, b, _ in found} == expected
    assert len(expected) > 50
    assert crowded == 0


def drawn_like_music(clips):
    """Embeddings that differ in few directions only, and a copy of each 20th that is a little off."""
    dice = np.random.default_rng(0)
    rows = dice.standard_normal((clips, 128)) * np.geomspace(1, 0.05, 128) + 2 * np.eye(128)[0]
    rows = np.concatenate(
        [rows, rows[::20] + 0.15 * dice.standard_normal((clips // 20, 128)) * np.geomspace(1, 0.05, 128)]
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_near_finds_copies_in_a_crate_of_many_alike_clips():
    rows, clips = drawn_like_music(6000), 6000
    copies = {(20 * n, clips + n) for n in range(clips // 20)}
    exact, _ = near(rows, np.arange(len(rows)), 0.5, exact=True)
    assert copies <= {(a, b) for a, b, _ in exact}
    cells, _ = near(rows, np.arange(len(rows)), 0.5, exact=False)
    assert len(copies & {(a, b) for a, b, _ in cells}) >= 0.98 * len(copies)
    assert near(rows, np.arange(len(rows)), 0.5, exact=False)[0] == cells


def test_waveforms_tell_a_copy_from_another_take():
    one, other = piece(1, 20.0, WAVE_HZ), piece(2, 20.0, WAVE_HZ)
    assert coherence(one, one, 0.0) == pytest.approx(1.0, abs=1e-4)
    assert coherence(one, -0.1 * noisy(one, 20), 0.04) > 0.95
    assert coherence(one, one[5 * WAVE_HZ :], 5.05) > 0.99
    assert coherence(one[5 * WAVE_HZ :], one, -4.95) > 0.99
    assert coherence(one, other, 0.0) < 0.4
    assert coherence(one, np.zeros_like(one), 0.0) == 0.0
    assert coherence(one[:2000], one, 0.0) == 0.0  # less than a second


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A song, its noisy copy, its copy as FLAC, a piece of other music near by, the bytes of that, and one far away."""
    song, other = piece(1, 8.0), piece(2, 8.0)
    sounds = [song, noisy(song, 26), 0.5 * song, other, other, piece(3, 8.0)]
    about = [
        {"source_sample_rate_hz": 48_000, "artist": "Ann"},
        {"source_key": "copy.mp3", "artist": "ann"},
        {"source_codec": "flac", "source_sample_rate_hz": 48_000},
        {"source_sha256": "a" * 64},
        {"source_sha256": "a" * 64},
        {"embedding": [0.0, 1.0, 0.0, 0.0]},
    ]
    return crate_of(tmp_path_factory.mktemp("crate"), sounds, about)


def test_groups_say_what_to_keep_and_nothing_is_deleted(root, capsys):
    before = {f: f.read_bytes() for f in root.rglob("*.parquet")}
    assert main(["dedup", str(root), "--dry-run"]) == 0
    assert not (root / "dedup").exists()
    assert main(["dedup", str(root)]) == 0
    said = capsys.readouterr().out
    assert "2 groups of doubles; 3 tracks are copies" in said
    assert "keep 2.mp3; double: 0.mp3, copy.mp3" in said
    assert all(file.read_bytes() == data for file, data in before.items())
    crate = Crate.open(root)
    pairs = pq.ParquetFile(root / "dedup" / "pairs.parquet").read().to_pylist()
    assert [(p["clip_a"][:4], p["clip_b"][:4], p["rule"]) for p in pairs] == [
        ("t000", "t001", "fingerprint"), ("t000", "t002", "fingerprint"), ("t001", "t002", "fingerprint"),
        ("t003", "t004", "bytes"),
    ]  # fmt: skip
    assert all(pair["error"] < 0.25 and pair["coherence"] > 0.9 for pair in pairs)
    groups = groups_of(crate)
    assert len(groups) == 5
    assert len(set(groups.values())) == 2
    out = left_out_tracks(crate, None, duplicates=True, contaminated=True)
    assert out == dict.fromkeys(["t000000", "t001000", "t004000"], "duplicate")
    first = (root / "dedup" / "groups.parquet").read_bytes()
    assert main(["dedup", str(root)]) == 0
    assert (root / "dedup" / "groups.parquet").read_bytes() == first
    split = CrateClips(root, [16_000]).split(0.02)
    assert dict(split.left_out) == {"duplicate": 3}
    assert split.train.count + split.validation.count + split.test.count == 3
    every = CrateClips(root, [16_000]).split(0.02, duplicates=True)
    assert every.train.count + every.validation.count + every.test.count == 6


def test_keep_first_and_equal_samples(tmp_path):
    song = piece(1, 8.0)
    crate = Crate.open(crate_of(tmp_path, [song, song], [{}, {"source_codec": "flac"}]))
    found = find_doubles(crate, keep="first")
    assert [pair.rule for pair in found.pairs] == ["samples"]
    assert [best for best, _ in found.groups.values()] == ["t000000"]
    assert [best for best, _ in find_doubles(crate).groups.values()] == ["t001000"]


def test_another_mix_of_the_same_notes_stays(tmp_path, capsys):
    """The same notes at the same moments, of another instrument: alike to the fingerprint, not as a waveform."""

    def played(harmonics):
        draw, sound, t = np.random.default_rng(1), np.zeros(8 * 24_000), np.arange(24_000) / 24_000
        for start in range(0, 7 * 24_000, 3_000):
            pitch = 220 * 2 ** (draw.integers(0, 24) / 12)
            sound[start : start + 24_000] += sum(np.sin(2 * np.pi * pitch * k * t + k) / k for k in harmonics) * np.exp(
                -4 * t
            )
        return (0.5 * sound / np.abs(sound).max()).astype(np.float32)

    mixes = [played((1, 2, 3, 4)), -played((1, 2, 3, 4)), np.float32(0.9) * played((1, 2, 3, 4))]
    spectrum = np.fft.rfft(mixes[1])
    spectrum *= np.exp(2j * np.pi * np.cumsum(np.random.default_rng(2).uniform(-0.02, 0.02, len(spectrum))))
    mixes[1] = np.fft.irfft(spectrum, len(mixes[1])).astype(np.float32)  # every frequency at another phase
    root = crate_of(tmp_path, mixes, [{}, {}, {}])
    found = find_doubles(Crate.open(root))
    assert [members for _, members in found.groups.values()] == [("t000000", "t002000")]
    assert found.apart == 2
    assert main(["dedup", str(root), "--dry-run"]) == 0
    assert "2 pairs of clips have the same notes, not the same waveform" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "value"), [("--threshold", "0.5"), ("--threshold", "nan"), ("--cosine", "2")])
def test_bad_input(root, option, value, capsys):
    assert main(["dedup", str(root), option, value]) == 2
    assert option in capsys.readouterr().err
