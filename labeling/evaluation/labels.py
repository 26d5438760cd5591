"""Are the labels of a crate true: by the model that chose them, by another, by what is known, by an independent tagger.

B clips, N drawn captions, D dimensions.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.known import Known
from labeling.evaluation.label_sample import Drawn, LabelSample
from labeling.evaluation.ranked import Calibration, Interval, Verdict, by_embedder, by_known, calibrate, interval
from labeling.recipe.judging.facts import judge_facts
from labeling.report.runs import ReportRun, ReportSlot
from labeling.report.similarity import strangers
from labeling.report.usage import Spread, spread
from vocab.grammar.lexicon import group_of, stated_facts, with_implied

__all__ = ["EmbedderJudge", "Histogram", "LabelEvaluation", "SlotEvaluation", "evaluate_labels"]

_GROUPS = ("instrument", "style", "mood", "tempo", "energy", "drums")
_BINS = 40
_COMMONEST = 8


@dataclass(frozen=True, kw_only=True)
class EmbedderJudge:
    """A joint model with the sample's clips in its own space."""

    name: str
    clips_BD: NDArray[np.float32]
    embed_text: Callable[[Sequence[str]], NDArray[np.float32]]
    labelled: bool
    """Whether it chose these captions itself."""


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Of cosines, drawn and shuffled, over the same edges."""

    judge: str
    edges: tuple[float, ...]
    drawn: tuple[int, ...]
    shuffled: tuple[int, ...]
    drawn_mean: float
    shuffled_mean: float

    @property
    def pairs(self) -> int:
        return sum(self.drawn)


@dataclass(frozen=True, kw_only=True)
class SlotEvaluation:
    """One vocabulary's captions."""

    name: str
    kind: str
    vocabulary: str
    captions: int
    """In the vocabulary."""
    drawn: int
    """In the sample."""
    balance: Spread
    """Of uses over captions, in the whole crate."""
    bare_share: float
    """Of the crate's clips: those without a caption of this slot."""
    stated: Mapping[str, float]
    """Group of facts -> share of sampled clips of which some caption states one."""
    commonest: tuple[tuple[str, float], ...]
    """Facts and the share of sampled clips of which some caption states them."""
    verdicts: tuple[Verdict, ...]
    calibrations: tuple[Calibration, ...]
    histograms: tuple[Histogram, ...]


@dataclass(frozen=True, kw_only=True)
class LabelEvaluation:
    """What `cratedig evaluate labels` says."""

    crate: str
    run: str
    clips: int
    sampled: int
    tracks: int
    slots: tuple[SlotEvaluation, ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON, which has no NaN."""
        found: dict[str, Any] = _without_nan(asdict(self))
        return found


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def evaluate_labels(
    crate: str, run: ReportRun, sample: LabelSample, judges: Sequence[EmbedderJudge], known: Sequence[Known]
) -> LabelEvaluation:
    """Slot by slot; the partner of a clip, for shuffled pairs, is of another track wherever there are two."""
    partner_B = strangers([clip["clip_id"] for clip in sample.clips], sample.tracks)
    _, track_B = np.unique(sample.tracks, return_inverse=True)
    slots = [_slot(slot, sample, judges, known, partner_B, track_B) for slot in run.slots]
    return LabelEvaluation(
        crate=crate,
        run=run.name,
        clips=sample.total,
        sampled=len(sample.clips),
        tracks=len(set(sample.tracks)),
        slots=tuple(slots),
        notes=tuple(_notes(sample, judges, known)),
    )


def _notes(sample: LabelSample, judges: Sequence[EmbedderJudge], known: Sequence[Known]) -> list[str]:
    notes = []
    if all(judge.labelled for judge in judges) and not known:
        notes.append(
            "the only judge is the model that chose the captions: what it likes it also chose. --judge with another "
            "model, --facts or --tagger say more"
        )
    for one in known:
        if one.judged < len(sample.clips):
            notes.append(f"{one.name} knows something of {one.judged} of {len(sample.clips)} clips")
    if len(set(sample.tracks)) < 20:
        notes.append(f"{len(set(sample.tracks))} tracks: intervals over so few are wide, and too narrow all the same")
    return notes


def _slot(
    slot: ReportSlot,
    sample: LabelSample,
    judges: Sequence[EmbedderJudge],
    known: Sequence[Known],
    partner_B: NDArray[np.int64],
    track_B: NDArray[np.int64],
) -> SlotEvaluation:
    drawn = sample.drawn[slot.name]
    track_N = track_B[[one.clip for one in drawn]] if drawn else np.zeros(0, np.int64)
    score_N = np.array([one.score for one in drawn])
    verdicts, calibrations, histograms = [], [], []
    for judge in judges if drawn else ():
        cosine_N2, rank_N2 = by_embedder(judge.clips_BD, drawn, partner_B, judge.embed_text)
        histograms.append(_histogram(judge.name, cosine_N2))
        name = f"{judge.name} (it chose them)" if judge.labelled else judge.name
        verdicts.append(
            Verdict(
                judge=name,
                captions=len(drawn),
                judged=len(drawn),
                rank=interval(rank_N2[:, 0], track_N),
                shuffled=_mean(rank_N2[:, 1]),
                similarity=_mean(cosine_N2[:, 0]),
                similarity_shuffled=_mean(cosine_N2[:, 1]),
                wins=_wins(cosine_N2),
            )
        )
        calibrations.append(calibrate(name, score_N, rank_N2[:, 0], track_N))
    for one in known if drawn else ():
        rank_N2 = by_known(one, drawn, partner_B)
        there = ~np.isnan(rank_N2[:, 0])
        true, shuffled = _true(one, drawn, partner_B, track_N)
        verdicts.append(
            Verdict(
                judge=one.name,
                captions=len(drawn),
                judged=int(there.sum()),
                rank=interval(rank_N2[there, 0], track_N[there]),
                shuffled=_mean(rank_N2[:, 1]),
                true=true,
                true_shuffled=shuffled,
            )
        )
        calibrations.append(calibrate(one.name, score_N, rank_N2[:, 0], track_N))
    stated, commonest = _stated(sample, drawn)
    return SlotEvaluation(
        name=slot.name,
        kind=slot.kind,
        vocabulary=slot.chosen.vocabulary_name,
        captions=slot.chosen.captions,
        drawn=len(drawn),
        balance=spread(np.array(list(sample.uses[slot.name].values()), np.int64), captions=slot.chosen.captions),
        bare_share=sample.bare[slot.name] / max(sample.total, 1),
        stated=stated,
        commonest=commonest,
        verdicts=tuple(verdicts),
        calibrations=tuple(c for c in calibrations if c is not None),
        histograms=tuple(histograms),
    )


def _mean(values: NDArray[np.float64]) -> float:
    there = values[~np.isnan(values)]
    return round(float(there.mean()), 4) if len(there) else float("nan")


def _wins(cosine_N2: NDArray[np.float64]) -> float:
    rising = np.sort(cosine_N2[:, 1])
    below = np.searchsorted(rising, cosine_N2[:, 0], "left") + np.searchsorted(rising, cosine_N2[:, 0], "right")
    return round(float(below.sum() / 2 / len(rising) ** 2), 4)


def _histogram(judge: str, cosine_N2: NDArray[np.float64]) -> Histogram:
    low, high = np.floor(cosine_N2.min() * 20) / 20, np.ceil(cosine_N2.max() * 20 + 1e-9) / 20
    edges = np.linspace(low, high, _BINS + 1)
    drawn, shuffled = (np.histogram(cosine_N2[:, column], edges)[0] for column in (0, 1))
    return Histogram(
        judge=judge,
        edges=tuple(round(float(edge), 6) for edge in edges),
        drawn=tuple(map(int, drawn)),
        shuffled=tuple(map(int, shuffled)),
        drawn_mean=_mean(cosine_N2[:, 0]),
        shuffled_mean=_mean(cosine_N2[:, 1]),
    )


def _true(
    known: Known, drawn: Sequence[Drawn], partner_B: NDArray[np.int64], track_N: NDArray[np.int64]
) -> tuple[Interval | None, float | None]:
    """Share of stated facts that hold; of a judge that knows all of a clip's facts."""
    if known.has is None:
        return None, None
    shares = np.full((len(drawn), 2), np.nan)
    for n, one in enumerate(drawn):
        stated = with_implied(stated_facts(one.text))
        for column, clip in enumerate((one.clip, int(partner_B[one.clip]))):
            precision = judge_facts(sorted(stated), known.has[clip]).precision if known.has[clip] else None
            if precision is not None:
                shares[n, column] = precision
    there = ~np.isnan(shares[:, 0])
    return interval(shares[there, 0], track_N[there]), _mean(shares[:, 1])


def _stated(sample: LabelSample, drawn: Sequence[Drawn]) -> tuple[dict[str, float], tuple[tuple[str, float], ...]]:
    by_clip: dict[int, set[str]] = {}
    for one in drawn:
        by_clip.setdefault(one.clip, set()).update(stated_facts(one.text))
    clips = max(len(sample.clips), 1)
    groups = {
        group: round(sum(any(group_of(fact) == group for fact in facts) for facts in by_clip.values()) / clips, 4)
        for group in _GROUPS
    }
    counted = Counter(fact for facts in by_clip.values() for fact in facts)
    commonest = sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:_COMMONEST]
    return groups, tuple((fact, round(count / clips, 4)) for fact, count in commonest)
