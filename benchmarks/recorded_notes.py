"""Which of the lexicon's families of instruments a model hears in recorded single notes that it never met.

    apt install freepats            # or apt-get download, dpkg -x
    python -m benchmarks.recorded_notes /usr/share/midi/freepats

Each tone patch of freepats plays two made-up sequences of ten seconds, a slow one and a quick one, within the range of
its samples. The class is the family whose direction (the mean of texts that say it) is nearest; balanced accuracy is a
mean over families. Centred: each family's mean score over all items is taken off first.

T samples, I items, F families.
"""

from __future__ import annotations

import argparse
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from labeling.embedders.by_name import load_embedder
from labeling.recipe.judging.calibrate import fact_direction
from vocab.grammar.lexicon import FAMILIES

_PROGRAMS = {  # family -> General MIDI programs, from 0
    "keyboard": range(8),
    "bells": range(8, 15),
    "organ": range(16, 24),
    "guitar": range(24, 32),
    "bass": range(32, 40),
    "strings": (40, 41, 42, 43, 44, 45, 48, 49, 50, 51),
    "plucked": (15, 46, 104, 105, 106, 107),
    "voice": (52, 53, 54),
    "brass": range(56, 64),
    "woodwind": range(64, 80),
    "synth": range(80, 96),
}
_HEADERS = 239
"""Bytes of a patch before its first sample."""
_SECONDS, _NOTE_S = 10.0, (0.9, 0.3)
_UNSIGNED, _16_BIT, _LOOPED = 2, 1, 4


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One recorded note of a patch."""

    sound_T: NDArray[np.float32]
    rate_hz: int
    loop_T: tuple[int, int] | None
    low_hz: float
    high_hz: float
    root_hz: float


def read_patch(file: Path) -> list[Sample]:
    """The samples of a Gravis Ultrasound patch."""
    data = file.read_bytes()
    if not data.startswith(b"GF1PATCH"):
        raise SystemExit(f"{file} is no GF1 patch; give the folder of freepats")
    found, at = [], _HEADERS
    for _ in range(data[198]):
        size, loop, end, rate, low, high, root = struct.unpack_from("<IIIHIII", data, at + 8)
        modes = data[at + 55]
        raw = data[at + 96 : at + 96 + size]
        kind = ("<u2" if modes & _UNSIGNED else "<i2") if modes & _16_BIT else ("u1" if modes & _UNSIGNED else "i1")
        values = np.frombuffer(raw[: len(raw) // 2 * 2 if modes & _16_BIT else None], kind).astype(np.float32)
        if modes & _UNSIGNED:
            values -= 1 << (15 if modes & _16_BIT else 7)
        width = 2 if modes & _16_BIT else 1
        found.append(
            Sample(
                sound_T=values / max(float(np.abs(values).max(initial=0)), 1.0),
                rate_hz=rate,
                loop_T=(loop // width, end // width) if modes & _LOOPED and end > loop else None,
                low_hz=low / 1000,
                high_hz=high / 1000,
                root_hz=root / 1000,
            )
        )
        at += 96 + size
    return found


def play(samples: list[Sample], note_s: float, rate_hz: int, dice: np.random.Generator) -> NDArray[np.float32]:
    """(T,) ten seconds of notes of a pentatonic scale near the middle of the patch's range, one after another."""
    middle = float(np.clip(np.median([s.root_hz for s in samples]), 80, 660))
    out_T = np.zeros(round(_SECONDS * rate_hz), np.float32)
    for start in np.arange(0, _SECONDS, note_s):
        wanted_hz = middle * 2 ** (int(dice.choice([-7, -5, -3, 0, 2, 4, 7])) / 12)
        sample = min(
            samples, key=lambda s: (not s.low_hz <= wanted_hz <= s.high_hz, abs(np.log(s.root_hz / wanted_hz)))
        )
        length_s = 1.3 * note_s
        source_T = _held(sample, length_s * wanted_hz / sample.root_hz)
        sound_T = soxr.resample(source_T, sample.rate_hz * wanted_hz / sample.root_hz, rate_hz)[
            : round(length_s * rate_hz)
        ]
        fade = min(len(sound_T), round(0.05 * rate_hz))
        sound_T[len(sound_T) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        at = round(start * rate_hz)
        sound_T = sound_T[: len(out_T) - at]
        out_T[at : at + len(sound_T)] += sound_T * dice.uniform(0.6, 1)
    return out_T / max(float(np.abs(out_T).max()), 1e-6) * np.float32(0.7)


def _held(sample: Sample, seconds: float) -> NDArray[np.float32]:
    """The sample for so long at its own rate, its loop repeated."""
    wanted = round(seconds * sample.rate_hz)
    if sample.loop_T is None or wanted <= sample.loop_T[1]:
        return sample.sound_T[:wanted]
    start, end = sample.loop_T
    loops = -(-(wanted - end) // (end - start))
    return np.concatenate([sample.sound_T[:end], np.tile(sample.sound_T[start:end], loops)])[:wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("freepats", type=Path)
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args()
    embedder = load_embedder(args.model, device="cpu")
    families = list(FAMILIES)
    family_of = {program: family for family, programs in _PROGRAMS.items() for program in programs}
    items: list[NDArray[np.float32]] = []
    true: list[int] = []
    for file in sorted(args.freepats.glob("Tone_*/*.pat")):
        family = family_of.get(int(file.name[:3]), "")
        for note_s in _NOTE_S if family else ():
            dice = np.random.default_rng([int(file.name[:3]), round(10 * note_s)])
            items.append(play(read_patch(file), note_s, embedder.card.sample_rate_hz, dice))
            true.append(families.index(family))
    clips_ID = embedder.embed_audio(np.stack(items))
    score_IF = clips_ID @ np.stack([fact_direction(embedder, f"family:{name}") for name in families]).T
    true_I = np.array(true)
    print(
        f"{len(true)} items of {len(true) // 2} patches; chance {1 / len(families):.3f}, the largest family "
        f"{np.bincount(true_I).max() / len(true):.3f}"
    )
    print("| scores | accuracy | balanced |\n|---|---|---|")
    for name, scores_IF in (("as they are", score_IF), ("centred", score_IF - score_IF.mean(axis=0))):
        right_I = scores_IF.argmax(axis=1) == true_I
        balanced = np.mean([right_I[true_I == f].mean() for f in np.unique(true_I)])
        print(f"| {name} | {right_I.mean():.3f} | {balanced:.3f} |")
    print("\n| family | items | right, centred | AUC |\n|---|---|---|---|")
    for f, name in enumerate(families):
        if (is_it := true_I == f).any():
            auc = (np.sign(score_IF[is_it, f][:, None] - score_IF[~is_it, f][None]).mean() + 1) / 2
            print(f"| {name} | {is_it.sum()} | {right_I[is_it].mean():.2f} | {auc:.2f} |")


if __name__ == "__main__":
    main()
