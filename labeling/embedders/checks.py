"""Whether an embedder can be trusted, asked before a long run rather than after it.

A model loads without a complaint and is useless all the same when its towers are collapsed (every text, or every sound,
gets one and the same vector: `laion/larger_clap_music` on the hub has such a text tower), when it answers differently
each time, or when it knows none of a vocabulary's words. Each of these is one number here.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labeling.embedders.embedder import Embedder, TextReport
from pipeline.errors import EmbedderProblem
from pipeline.records import EmbedderCard

__all__ = ["PROBE_TEXTS", "CheckReport", "check_embedder", "probe_windows"]

PROBE_TEXTS = (
    "slow piano music",
    "fast rock song with electric guitar and drums",
    "a choir",
    "electronic dance music",
    "calm acoustic guitar",
    "orchestral film music with brass and strings",
    "solo flute",
    "jazz with saxophone and bass",
)
"""Plain words that any music model knows, for things that sound nothing like one another."""
_NORM_TOLERANCE = 1e-3
_REPEAT_TOLERANCE = 1e-5
_SAMPLE = 20_000
"""Captions whose words are looked up; more would only take longer."""


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was measured; whatever must not be used has raised by now."""

    card: EmbedderCard
    text_cosine: float
    """Mean between captions of different things; 1 would be a collapsed tower."""
    audio_cosine: float
    """Mean between different sounds."""
    repeat_difference: float
    """Largest between two passes over the same input; 0 is bit for bit."""
    captions: TextReport | None
    """Of the captions given, or of an even sample of them."""
    warnings: tuple[str, ...]
    seconds: float

    def lines(self) -> list[str]:
        """For people."""
        repeat = "bit for bit" if self.repeat_difference == 0 else f"to {self.repeat_difference:.1e}"
        found = [
            f"different captions  mean cosine {self.text_cosine:+.3f}",
            f"different sounds    mean cosine {self.audio_cosine:+.3f}",
            f"repeatable          {repeat}",
        ]
        if self.captions:
            c = self.captions
            found.append(
                f"captions            {c.texts} read: {c.unknown_share:.1%} of {c.tokens} words unknown, "
                f"{c.with_unknown} captions hold one, {c.cut} cut at the limit"
            )
            if c.unknown_words:
                named = ", ".join(f"{word} ({count})" for word, count in c.unknown_words[:8])
                found.append(f"unknown most often  {named}")
        return [*found, *(f"warning: {w}" for w in self.warnings)]


def check_embedder(
    embedder: Embedder,
    texts: Sequence[str] | None = None,
    *,
    collapse_above: float = 0.95,
    unknown_above: float = 0.2,
) -> CheckReport:
    """Embed a few probes, and look up the words of `texts` where given; EmbedderProblem for what is unusable."""
    start = time.perf_counter()
    card = embedder.card
    windows_BT = probe_windows(card.sample_rate_hz, card.window_s)
    heard_BD = embedder.embed_audio(windows_BT)
    read_ND = embedder.embed_text(PROBE_TEXTS)
    for name, found, rows in (("audio", heard_BD, len(windows_BT)), ("text", read_ND, len(PROBE_TEXTS))):
        _check_vectors(card, name, found, rows)
    pair_BT = windows_BT[:2]
    repeat = max(
        _difference(embedder.embed_audio(pair_BT), embedder.embed_audio(pair_BT)),
        _difference(read_ND, embedder.embed_text(PROBE_TEXTS)),
    )
    if repeat > _REPEAT_TOLERANCE:
        raise EmbedderProblem(
            f"{card.name} gives other embeddings each time (up to {repeat:.1e} apart): expected the same; "
            "a part of it draws random numbers, or it was left in training mode"
        )
    cosines = {"text": _mean_cosine(read_ND), "audio": _mean_cosine(heard_BD)}
    for name, cosine in cosines.items():
        if cosine > collapse_above:
            raise EmbedderProblem(
                f"the {name} tower of {card.name} is collapsed: {'captions' if name == 'text' else 'sounds'} of "
                f"different things have a mean cosine of {cosine:.3f}, expected below {collapse_above:g}; labels from "
                "it would be noise: use other weights"
            )
    report = embedder.text_report(_sample(texts)) if texts is not None else None
    return CheckReport(
        card=card,
        text_cosine=cosines["text"],
        audio_cosine=cosines["audio"],
        repeat_difference=repeat,
        captions=report,
        warnings=tuple(_warnings(embedder, report, repeat, unknown_above)),
        seconds=time.perf_counter() - start,
    )


def probe_windows(sample_rate_hz: int, window_s: float) -> NDArray[np.float32]:
    """(6, T) windows that have little in common: noise, a low and a high tone, beats, a chord, a sweep."""
    samples = round(sample_rate_hz * window_s)
    t = np.arange(samples) / sample_rate_hz
    noise = np.random.default_rng(0).uniform(-1, 1, samples)
    top_hz = min(8_000.0, 0.4 * sample_rate_hz)
    sounds = [
        0.3 * noise,
        0.5 * np.sin(2 * np.pi * 110 * t),
        0.2 * np.sin(2 * np.pi * top_hz / 2 * t) * (t * 4 % 1 < 0.5),
        0.8 * noise * np.exp(-30 * (t * 2 % 1)),
        0.1 * sum(np.sin(2 * np.pi * f * t) for f in (262, 330, 392, 523)),
        0.4 * np.sin(2 * np.pi * (100 + (top_hz - 100) / 2 * t / window_s) * t),
    ]
    return np.stack(sounds).astype(np.float32)


def _check_vectors(card: EmbedderCard, name: str, found: NDArray[np.float32], rows: int) -> None:
    if found.shape != (rows, card.dimension):
        raise EmbedderProblem(
            f"{card.name} gives {name} embeddings of shape {found.shape}: expected ({rows}, {card.dimension}), "
            "as its card says"
        )
    if not np.isfinite(found).all():
        raise EmbedderProblem(f"{card.name} gives {name} embeddings with NaN or infinity: its weights are damaged")
    norms = np.linalg.norm(found, axis=1)
    worst = float(norms[np.abs(norms - 1).argmax()])
    if abs(worst - 1) > _NORM_TOLERANCE:
        raise EmbedderProblem(f"{card.name} gives {name} embeddings of length {worst:.4f}: expected normalised to 1")


def _warnings(embedder: Embedder, report: TextReport | None, repeat: float, unknown_above: float) -> list[str]:
    found = list(embedder.notes)
    if repeat > 0:
        found.append(f"embeddings repeat to {repeat:.1e} only, not bit for bit: nor will shards made from them")
    if report is not None and report.unknown_share > unknown_above:
        found.append(
            f"{report.unknown_share:.0%} of the captions' words are unknown to {embedder.card.name} (in "
            f"{report.with_unknown} of {report.texts} captions): it can't tell those captions apart; "
            "use a model that reads more, or captions in its words"
        )
    if report is not None and report.cut:
        found.append(
            f"{report.cut} of {report.texts} captions are longer than {embedder.card.name}'s limit of "
            f"{embedder.card.text_limit_tokens} tokens and are cut there"
        )
    return found


def _sample(texts: Sequence[str]) -> list[str]:
    step = max(1, -(-len(texts) // _SAMPLE))
    return [str(t) for t in texts[::step]]


def _mean_cosine(found: NDArray[np.float32]) -> float:
    """Over all pairs of different rows."""
    cosines = found.astype(np.float64) @ found.T.astype(np.float64)
    n = len(found)
    return float((cosines.sum() - np.trace(cosines)) / (n * (n - 1)))


def _difference(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
