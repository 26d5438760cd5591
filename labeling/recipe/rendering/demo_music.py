"""The demo music: short whole tracks in several styles and file formats, with what is true of each.

T samples, C channels. Rendered with FluidR3 (MIT); `facts.json` says what each track contains, over all of it and for
every ten seconds, so that labels made from the files can be judged.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve  # type: ignore[import-untyped]

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.describe import describe
from labeling.recipe.composing.piece import Piece
from labeling.recipe.rendering.soundfont import FLUID_R3, SoundFont
from vocab.grammar.lexicon import group_of

__all__ = ["TRACKS", "DemoTrack", "facts_between", "write_demo_music"]

Samples = NDArray[np.float32]
_RENDER_HZ = 44_100
_WINDOW_S = 10.0
_TAIL_S = 2.5
ARTIST = "The cratedig composer"
LICENCE = "CC0-1.0"


@dataclass(frozen=True, kw_only=True)
class DemoTrack:
    """One file and how it is made."""

    file: str
    title: str
    style: str
    seed: int
    seconds: float
    bpm: float
    sample_rate_hz: int
    channels: int
    kbps: int = 0
    """Of a lossy file; 0 writes samples as they are."""


def _track(
    file: str, title: str, style: str, seed: int, seconds: float, bpm: float, rate: int, channels: int, kbps: int = 0
) -> DemoTrack:
    return DemoTrack(
        file=file,
        title=title,
        style=style,
        seed=seed,
        seconds=seconds,
        bpm=bpm,
        sample_rate_hz=rate,
        channels=channels,
        kbps=kbps,
    )


TRACKS: tuple[DemoTrack, ...] = (
    _track("01-late-tram.mp3", "Late Tram", "jazz", 14, 62, 152, 44_100, 2, 48),
    _track("02-rusted-gate.ogg", "Rusted Gate", "rock", 11, 60, 132, 32_000, 1),
    _track("03-snow-on-the-sill.flac", "Snow on the Sill", "classical piano", 1, 58, 72, 11_025, 1),
    _track("04-signal-tower.opus", "Signal Tower", "techno", 1, 66, 132, 48_000, 2, 44),
    _track("05-paper-boats.m4a", "Paper Boats", "bossa nova", 5, 66, 114, 44_100, 2, 48),
    _track("06-the-far-ridge.mp3", "The Far Ridge", "orchestral", 11, 74, 96, 32_000, 1, 40),
    _track("07-mill-race-jig.ogg", "Mill Race Jig", "celtic folk", 16, 62, 112, 32_000, 1),
    _track("08-small-hours.wav", "Small Hours", "lullaby", 54, 58, 66, 11_025, 1),
    _track("09-second-helping.opus", "Second Helping", "funk", 3, 62, 104, 48_000, 2, 44),
    _track("10-tin-roof.m4a", "Tin Roof", "reggae", 9, 72, 76, 32_000, 1, 40),
    _track("11-stone-and-candle.aiff", "Stone and Candle", "choral", 1, 58, 60, 8_000, 1),
    _track("12-pixel-parade.mp3", "Pixel Parade", "chiptune", 3, 62, 150, 22_050, 1, 40),
    _track("13-red-lamp.ogg", "Red Lamp", "tango", 1, 62, 116, 32_000, 1),
    _track("14-long-orbit.opus", "Long Orbit", "ambient", 10, 84, 60, 48_000, 2, 36),
)
TRUNCATED, SILENT = "15-cut-short.flac", "16-nothing-at-all.flac"
_TRUNCATED_OF = _track(TRUNCATED, "Cut Short", "waltz", 16, 58, 140, 8_000, 1)
_CODECS = {".mp3": "libmp3lame", ".opus": "libopus", ".m4a": "aac"}
_VORBIS_SMALLNESS = 0.85
"""0 the best, 1 the smallest; PyAV's wheel has no libvorbis, soundfile has."""


def write_demo_music(out: Path) -> Iterable[str]:
    """Writes everything; yields the name of each file when it is there. The same code writes the same audio."""
    out.mkdir(parents=True, exist_ok=True)
    font = SoundFont(FLUID_R3, _RENDER_HZ, stereo=True)
    facts: dict[str, Any] = {}
    for track in TRACKS:
        piece = compose(track.seed, track.seconds, style=track.style, song=True, bpm=track.bpm)
        (out / track.file).write_bytes(_encoded(track, _master(font, piece)))
        facts[track.file] = _about(track, piece)
        yield track.file
    piece = compose(_TRUNCATED_OF.seed, _TRUNCATED_OF.seconds, style=_TRUNCATED_OF.style, song=True)
    whole = _encoded(_TRUNCATED_OF, _master(font, piece))
    (out / TRUNCATED).write_bytes(whole[: len(whole) // 2])
    yield TRUNCATED
    silence = np.zeros((_RENDER_HZ * 40, 2), np.float32)
    (out / SILENT).write_bytes(_encoded(_track(SILENT, "Nothing at All", "", 0, 40, 0, 16_000, 1), silence))
    yield SILENT
    (out / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
    (out / "metadata.csv").write_text(_manifest(facts))
    (out / "README.md").write_text(_readme(facts))


def facts_between(about: dict[str, Any], start_s: float, end_s: float) -> frozenset[str]:
    """What holds for a clip, from the ten-second windows of a `facts.json` entry that it covers by half or more.

    Instruments and what else can be several are joined; drums count if they play at all; of what excludes each other
    the most frequent wins, and nothing is said on a tie.
    """
    windows = [
        set(facts)
        for k, facts in enumerate(about["windows"])
        if min(end_s, (k + 1) * _WINDOW_S) - max(start_s, k * _WINDOW_S) >= 0.5 * min(_WINDOW_S, end_s - start_s)
    ]
    held: set[str] = set()
    by_group: dict[str, Counter[str]] = {}
    for facts in windows:
        for fact in facts:
            by_group.setdefault(group_of(fact), Counter())[fact] += 1
    for group, counts in by_group.items():
        if group in ("tempo", "ensemble", "energy", "density", "register", "lead", "kit"):
            ranked = counts.most_common(2)
            if len(ranked) == 1 or ranked[0][1] > ranked[1][1]:
                held.add(ranked[0][0])
        else:
            held |= set(counts)
    if "drums:yes" in held:
        held.discard("drums:no")
    if any(f.startswith("voice:") and f != "voice:no" for f in held) or "family:voice" in held:
        held.discard("voice:no")
    return frozenset(held)


def _master(font: SoundFont, piece: Piece) -> Samples:
    """[T, 2] with a hall, a fade at the very end, and a peak of -1 dB."""
    rng = np.random.default_rng((piece.seed, 2))
    dry = font.render(piece.parts, piece.duration_s + _TAIL_S)
    decay_s = rng.uniform(0.9, 1.8)
    t = np.arange(int(decay_s * _RENDER_HZ)) / _RENDER_HZ
    wet = np.empty_like(dry)
    for channel in range(2):
        impulse = np.convolve(rng.standard_normal(t.size), (0.25, 0.5, 0.25), "same") * np.exp(-6.9 * t / decay_s)
        impulse /= np.sqrt(np.sum(impulse**2))
        wet[:, channel] = fftconvolve(dry[:, channel], impulse)[: len(dry)]
    mixed = dry + np.float32(rng.uniform(0.15, 0.3)) * wet
    fade = int(1.5 * _RENDER_HZ)
    mixed[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    out: Samples = (mixed * np.float32(0.89 / (np.abs(mixed).max() + 1e-9))).astype(np.float32)
    return out


def _encoded(track: DemoTrack, audio_TC: Samples) -> bytes:
    import soxr

    if track.channels == 1:
        audio_TC = audio_TC.mean(axis=1, keepdims=True)
    audio_TC = soxr.resample(audio_TC, _RENDER_HZ, track.sample_rate_hz)
    audio_TC = np.clip(audio_TC, -0.999, 0.999)
    suffix = Path(track.file).suffix
    if suffix in _CODECS:
        return _lossy(track, _CODECS[suffix], audio_TC)
    import soundfile

    buffer = io.BytesIO()
    kind, subtype = suffix[1:].upper(), "VORBIS" if suffix == ".ogg" else "PCM_16"
    smallness = _VORBIS_SMALLNESS if suffix == ".ogg" else None
    with soundfile.SoundFile(
        buffer, "w", track.sample_rate_hz, track.channels, subtype, format=kind, compression_level=smallness
    ) as file:
        for start in range(0, len(audio_TC), track.sample_rate_hz):  # libvorbis overflows its stack on long writes
            file.write(audio_TC[start : start + track.sample_rate_hz])
    return buffer.getvalue()


def _lossy(track: DemoTrack, codec: str, audio_TC: Samples) -> bytes:
    import av

    buffer = io.BytesIO()
    container_format = {"libmp3lame": "mp3", "libopus": "opus", "aac": "ipod"}[codec]
    with av.open(buffer, "w", format=container_format, options={"fflags": "+bitexact"}) as container:
        container.metadata.update({"title": track.title, "artist": ARTIST})
        layout = "mono" if track.channels == 1 else "stereo"
        stream = container.add_stream(codec, rate=track.sample_rate_hz, layout=layout)
        stream.bit_rate = track.kbps * 1000
        stream.options = {"flags": "+bitexact"}
        block = track.sample_rate_hz
        for start in range(0, len(audio_TC), block):
            planar = np.ascontiguousarray(audio_TC[start : start + block].T)
            frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=layout)
            frame.sample_rate, frame.pts = track.sample_rate_hz, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def _about(track: DemoTrack, piece: Piece) -> dict[str, Any]:
    facts = describe(piece)
    instruments = sorted(f.partition(":")[2] for f in facts if f.startswith("instrument:"))
    ends = np.arange(_WINDOW_S, piece.duration_s + _WINDOW_S / 2, _WINDOW_S)
    return {
        "title": track.title,
        "style": track.style,
        "bpm": round(piece.bpm, 1),
        "tempo": next((f.partition(":")[2] for f in facts if f.startswith("tempo:")), ""),
        "meter": piece.meter,
        "drums": "drums:yes" in facts,
        "instruments": instruments,
        "families": sorted(f.partition(":")[2] for f in facts if f.startswith("family:")),
        "seconds": round(piece.duration_s + _TAIL_S, 1),
        "sections": [list(section) for section in piece.sections],
        "facts": sorted(facts),
        "windows": [sorted(describe(piece, end - _WINDOW_S, end)) for end in ends],
    }


def _manifest(facts: dict[str, Any]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["path", "title", "artist", "tags", "licence"])
    for file, about in facts.items():
        tags = [about["style"], *about["instruments"][:3], f"{about['tempo']} tempo"]
        writer.writerow([file, about["title"], ARTIST, "; ".join(tags), LICENCE])
    writer.writerow([TRUNCATED, "Cut Short", ARTIST, "waltz", LICENCE])
    writer.writerow([SILENT, "Nothing at All", ARTIST, "", LICENCE])
    return buffer.getvalue()


def _readme(facts: dict[str, Any]) -> str:
    rows = []
    for track in TRACKS:
        about, layout = facts[track.file], "mono" if track.channels == 1 else "stereo"
        kind = f"{Path(track.file).suffix[1:]}, {track.sample_rate_hz / 1000:g} kHz, {layout}"
        rows.append(
            f"| `{track.file}` | {about['style']} | {about['bpm']:.0f} ({about['tempo']}) | "
            f"{'yes' if about['drums'] else 'no'} | {', '.join(about['instruments'])} | "
            f"{about['seconds']:.0f} s, {kind} |"
        )
    table = "\n".join(rows)
    return f"""# Demo music

Composed and rendered by this project with the FluidR3 soundfont (MIT, Frank Wen and others), and released under
{LICENCE}. `python -m labeling.recipe demo-music examples/demo_music` writes it all again; this page too.

| file | style | beats a minute | drums | instruments | length and format |
|---|---|---|---|---|---|
{table}

Two more files are there to be rejected: `{TRUNCATED}` is half of a FLAC file whose header promises the whole, and
`{SILENT}` is forty seconds of silence.

`metadata.csv` is a manifest for `cratedig plan`. `facts.json` says for each track what is true of it, in the
words of `vocab/grammar/lexicon.py`: over the whole track (`facts`) and for every ten seconds (`windows`), because
an introduction may be without drums. `labeling.recipe.rendering.demo_music.facts_between` gives the facts of any clip.
"""
