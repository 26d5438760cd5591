"""A synthesiser for training: subtractive, frequency-modulated and chip voices, and drum machines.

A General MIDI font has one or two recordings of "saw lead", so that a model learns those and no synthesiser. Here each
part draws a patch of its own: oscillators, unison, two filters between which an envelope or a slow sweep moves, echo.
T samples, mono.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt  # type: ignore[import-untyped]

from labeling.recipe.composing.piece import Part

__all__ = ["SYNTH_INSTRUMENTS", "levelled", "play_machine", "play_synth"]

Samples = NDArray[np.float32]
SYNTH_INSTRUMENTS = frozenset({"saw lead", "square lead", "synth pad", "synth strings", "synth bass"})
_LEVEL_DB = -27.0
_FADERS = {"lead": 1.4, "comp": 1.25, "pad": 1.1, "drums": 0.75}


@dataclass(frozen=True, kw_only=True)
class _Patch:
    wave: str
    """`saw`, `pulse`, `chip`, `triangle` or `fm`."""
    voices: int
    spread: float
    """Widest detuning of unison voices, as a ratio less one."""
    width: float
    attack_s: float
    release_s: float
    pluck_s: float
    """Decay of the bright part; 0 where the filter follows a sweep instead."""
    dark_hz: float
    bright_hz: float
    sub: float
    fm_ratio: float
    fm_index: float


def _patch(instrument: str, rng: np.random.Generator) -> _Patch:
    held = instrument in ("synth pad", "synth strings")
    waves = {
        "saw lead": ("saw", "saw", "saw", "fm"),
        "square lead": ("pulse", "chip", "chip", "triangle"),
        "synth bass": ("saw", "saw", "pulse", "fm", "triangle"),
        "synth pad": ("saw", "saw", "pulse", "fm", "triangle"),
        "synth strings": ("saw",),
    }[instrument]
    wave = str(rng.choice(waves))
    chip = wave == "chip"
    dark = float(rng.uniform(250, 1500) * (2.0 if "lead" in instrument else 1.0))
    return _Patch(
        wave=wave,
        voices=1 if chip or rng.random() < 0.3 else int(rng.integers(2, 5)),
        spread=float(rng.uniform(0.001, 0.012)),
        width=float(rng.choice([0.125, 0.25, 0.5])) if chip else float(rng.uniform(0.15, 0.5)),
        attack_s=float(rng.uniform(0.05, 0.8)) if held else float(rng.uniform(0.002, 0.03)),
        release_s=float(rng.uniform(0.2, 1.2)) if held else float(rng.uniform(0.02, 0.25)),
        pluck_s=0.0 if held or chip else float(rng.choice([0.0, rng.uniform(0.05, 0.5)])),
        dark_hz=11_000.0 if chip else dark,
        bright_hz=11_000.0 if chip else float(min(10_500, dark * rng.uniform(1.5, 8))),
        sub=float(rng.uniform(0, 0.6)) if "bass" in instrument else 0.0,
        fm_ratio=float(rng.choice([0.5, 1, 1, 2, 3, 3.5, 7])),
        fm_index=float(rng.uniform(0.5, 5)),
    )


def play_synth(part: Part, count: int, rate_hz: int, rng: np.random.Generator, *, detune_semitones: float) -> Samples:
    """One part by one patch, at the level of a soundfont's part."""
    patch = _patch(part.instrument, rng)
    slow, fast = np.zeros(count, np.float32), np.zeros(count, np.float32)
    for note in part.notes:
        start = int(note.start_s * rate_hz)
        length = min(int((note.duration_s + 3 * patch.release_s) * rate_hz), count - start)
        if length < 32:
            continue
        hz = 440.0 * 2 ** ((note.pitch - 69 + detune_semitones) / 12)
        t = np.arange(length, dtype=np.float32) / np.float32(rate_hz)
        loud = np.minimum(t / patch.attack_s, 1) * np.exp(-np.maximum(t - note.duration_s, 0) / patch.release_s)
        sound = _oscillate(patch, hz, t, rate_hz, rng) * (loud * (note.velocity / 127) ** 1.3).astype(np.float32)
        slow[start : start + length] += sound
        if patch.pluck_s:
            fast[start : start + length] += sound * np.exp(-t / np.float32(patch.pluck_s))
    out = _filtered(slow, fast, patch, rate_hz, rng)
    if rng.random() < 0.3 and "bass" not in part.instrument:
        out = _echo(out, rate_hz, rng)
    return levelled(out, part, rng)


def levelled(x_T: Samples, part: Part, rng: np.random.Generator) -> Samples:
    """As loud as a font's part of that role, give or take."""
    busy = x_T[np.abs(x_T) > 1e-4]
    rms = float(np.sqrt(np.mean(busy**2))) if busy.size else 1.0
    wanted = 10 ** ((_LEVEL_DB + 4 + rng.uniform(-4, 4)) / 20)
    fader = (part.volume / 100) ** 2 * _FADERS.get(part.role, 1.0)
    return (x_T * np.float32(wanted * fader / (rms + 1e-9))).astype(np.float32)


def _oscillate(patch: _Patch, hz: float, t_T: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    out = np.zeros(t_T.size, np.float32)
    n = np.arange(t_T.size, dtype=np.float64)
    for voice in range(patch.voices):
        place = 0.0 if patch.voices == 1 else 2 * voice / (patch.voices - 1) - 1
        step = hz * (1 + patch.spread * place) / rate_hz
        phase = (n * step + rng.random()) % 1.0
        if patch.wave == "fm":
            depth = patch.fm_index * np.exp(-t_T * rng.uniform(0.5, 4))
            out += np.sin(2 * np.pi * phase + depth * np.sin(2 * np.pi * patch.fm_ratio * n * step)).astype(np.float32)
        elif patch.wave == "triangle":
            out += (4 * np.abs(phase - 0.5) - 1).astype(np.float32)
        elif patch.wave == "saw":
            out += _saw(phase, step)
        else:
            out += _saw(phase, step) - _saw((phase + patch.width) % 1.0, step)
    if patch.sub:
        out += np.float32(patch.sub) * np.sin(np.pi * n * hz / rate_hz).astype(np.float32)
    return out / np.float32(patch.voices**0.7)


def _saw(phase_T: NDArray[np.float64], step: float) -> Samples:
    """With its step rounded off over two samples (polyBLEP), or the treble would fold back."""
    out = 2 * phase_T - 1
    near = phase_T < step
    u = phase_T[near] / step
    out[near] -= 2 * u - u * u - 1
    near = phase_T > 1 - step
    u = (phase_T[near] - 1) / step
    out[near] -= u * u + 2 * u + 1
    return out.astype(np.float32)


def _filtered(slow_T: Samples, fast_T: Samples, patch: _Patch, rate_hz: int, rng: np.random.Generator) -> Samples:
    low = _resonant(slow_T, patch.dark_hz, rate_hz, rng.uniform(0.7, 3))
    if patch.pluck_s:
        return low + _resonant(fast_T, patch.bright_hz, rate_hz, rng.uniform(0.7, 4))
    if rng.random() < 0.5:
        return low
    high = _resonant(slow_T, patch.bright_hz, rate_hz, rng.uniform(0.7, 3))
    t = np.arange(slow_T.size) / rate_hz
    move = 0.5 + 0.5 * np.sin(2 * np.pi * t / rng.choice([0.5, 2, 6, 14]) + rng.uniform(0, 6.28))
    return (low * (1 - move) + high * move).astype(np.float32)


def _resonant(x_T: Samples, hz: float, rate_hz: int, q: float) -> Samples:
    """A two-pole low-pass (RBJ)."""
    if hz > 0.45 * rate_hz:
        return x_T
    w = 2 * np.pi * hz / rate_hz
    alpha, cos = np.sin(w) / (2 * q), np.cos(w)
    b = np.array([(1 - cos) / 2, 1 - cos, (1 - cos) / 2]) / (1 + alpha)
    a = np.array([1 + alpha, -2 * cos, 1 - alpha]) / (1 + alpha)
    out: Samples = lfilter(b, a, x_T).astype(np.float32)
    return out


def _echo(x_T: Samples, rate_hz: int, rng: np.random.Generator) -> Samples:
    out, gap, level = x_T.copy(), int(rng.uniform(0.18, 0.55) * rate_hz), rng.uniform(0.25, 0.6)
    for k in (1, 2, 3):
        if gap * k < x_T.size:
            out[gap * k :] += np.float32(level**k) * x_T[: x_T.size - gap * k]
    return out


# --- drum machines


def play_machine(part: Part, count: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    """A part's drum keys on sounds made of sines and noise, one draw of each for the whole part."""
    out = np.zeros(count, np.float32)
    made: dict[int, Samples] = {}
    crushed = rng.random() < 0.15
    for note in part.notes:
        if note.pitch not in made:
            made[note.pitch] = _drum(note.pitch, rate_hz, rng)
        start = int(note.start_s * rate_hz)
        sound = made[note.pitch][: max(0, count - start)]
        out[start : start + sound.size] += sound * np.float32((note.velocity / 127) ** 1.5)
    if crushed:
        out = np.round(out * 12) / np.float32(12)
    return levelled(out, part, rng) * np.float32(1.6)


def _drum(key: int, rate_hz: int, rng: np.random.Generator) -> Samples:
    def noise(seconds: float, low_hz: float) -> NDArray[np.float64]:
        n = int(seconds * 6 * rate_hz)
        sos = butter(2, min(low_hz, 0.4 * rate_hz), "high", fs=rate_hz, output="sos")
        return sosfilt(sos, rng.standard_normal(n)) * np.exp(-np.arange(n) / (seconds * rate_hz))

    def tone(hz: float, drop: float, seconds: float) -> NDArray[np.float64]:
        t = np.arange(int(seconds * 5 * rate_hz)) / rate_hz
        sweep = hz * (1 + drop * np.exp(-t / rng.uniform(0.008, 0.04)))
        return np.sin(2 * np.pi * np.cumsum(sweep) / rate_hz) * np.exp(-t / seconds)

    if key in (35, 36):
        made = np.tanh(rng.uniform(1, 4) * tone(rng.uniform(42, 62), rng.uniform(2, 6), rng.uniform(0.06, 0.35)))
    elif key in (37, 38, 40):
        made = _sum(
            0.7 * tone(rng.uniform(150, 240), 0.5, 0.05), noise(rng.uniform(0.04, 0.15), rng.uniform(700, 2500))
        )
    elif key == 39:
        bursts = [np.pad(noise(0.012, 900), (int(k * 0.011 * rate_hz), 0)) for k in range(3)]
        made = _sum(_sum(*bursts), np.pad(noise(0.06, 900), (int(0.033 * rate_hz), 0)))
    elif key in (42, 44, 70, 54):
        made = 0.5 * noise(rng.uniform(0.01, 0.04), rng.uniform(4000, 7500))
    elif key == 46:
        made = 0.5 * noise(rng.uniform(0.1, 0.25), rng.uniform(4000, 7000))
    elif key in (49, 51, 52, 53, 55, 57, 59):
        made = 0.5 * noise(rng.uniform(0.25, 0.5), rng.uniform(2500, 5000))
    else:
        made = tone(60.0 * 2 ** ((key - 36) / 14), rng.uniform(0.2, 1.0), rng.uniform(0.06, 0.2))
    return (made / (np.abs(made).max() + 1e-9)).astype(np.float32)


def _sum(*sounds: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.zeros(max(s.size for s in sounds))
    for sound in sounds:
        out[: sound.size] += sound
    return out
