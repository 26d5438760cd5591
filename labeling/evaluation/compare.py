"""Two sets by one encoder: every distance, what it would be by chance, and the clips that are strangest.

N vectors, D dimensions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from labeling.evaluation.encoded import EncodedSet, Sampled
from labeling.evaluation.frechet import Extrapolated, chance_distance, extrapolate, frechet_distance, subset_sizes
from labeling.evaluation.kernel import kad, kernel_distance
from labeling.evaluation.moments import Moments
from labeling.evaluation.neighbours import look_around
from pipeline.errors import BadInput, IndexMismatch
from pipeline.records import EmbedderCard

__all__ = ["Comparison", "Outlier", "Side", "compare_sets"]

_MOST_VECTORS = 4_000
"""Of each set, in what compares vector with vector: 10,000 took 1.4 GB for the median of all pairs."""
_OUTLIERS = 12
_BIAS_WORTH_A_WORD = 0.2


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two sets, encoded, or as statistics that somebody stored."""

    name: str
    moments: Moments
    counts: Mapping[str, int] = field(default_factory=dict)
    """Clips, and what was left out by `level:reason`; empty for stored statistics."""
    sample: Sampled | None = None
    labelled_by: EmbedderCard | None = None
    source_rates_hz: Mapping[int, int] = field(default_factory=dict)
    """Sample rate of the sources -> clips."""
    left_out: tuple[tuple[str, str, str], ...] = ()
    """(file, reason, detail)."""

    @classmethod
    def of(cls, name: str, encoded: EncodedSet, labelled_by: EmbedderCard | None) -> Side:
        counts = encoded.counts()
        if not counts["clips"]:
            why = ", ".join(f"{n} {reason.partition(':')[2]}" for reason, n in sorted(counts.items()) if n)
            raise BadInput(f"set {name!r} has no clip to compare ({why or 'it is empty'}); expected at least 2")
        rates = Counter(int(row["source_rate_hz"]) for row in encoded.rows(vectors=False))
        return cls(
            name=name,
            moments=encoded.moments(),
            counts=counts,
            sample=encoded.sample(_MOST_VECTORS),
            labelled_by=labelled_by,
            source_rates_hz=dict(sorted(rates.items())),
            left_out=tuple(encoded.left_out()),
        )


@dataclass(frozen=True, kw_only=True)
class Outlier:
    """A clip of the judged set that lies far from the reference."""

    clip: Mapping[str, Any]
    strangeness: float
    """See `labeling.evaluation.neighbours`; 1 is at home."""
    nearest: Mapping[str, Any]
    """The clip of the reference that is nearest."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What `cratedig evaluate sets` says by one encoder. None where a set is stored statistics alone, or too small."""

    encoder: EmbedderCard
    per: str
    reference: str
    judged: str
    vectors: tuple[int, int]
    frechet: float
    frechet_by_chance: float | None
    """What two samples of these sizes from the reference's own Gaussian are apart; None where a size is not known."""
    frechet_inf: Extrapolated | None
    """With replacement, as fadtk."""
    frechet_unbiased: Extrapolated | None
    """Without."""
    kernel: float | None
    kad: float | None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None
    outliers: tuple[Outlier, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON; points of extrapolations included."""
        return asdict(self)


def compare_sets(
    reference: Side, judged: Side, encoder: EmbedderCard, per: str, *, small: bool = False, through_hz: int = 0
) -> Comparison:
    """through_hz: the rate that both sets were brought to first.

    Raises BadInput for sets too small for a covariance, unless `small`; IndexMismatch for another encoder's.
    """
    for side in (reference, judged):
        if side.moments.dimension != encoder.dimension:
            raise IndexMismatch(
                f"{side.name} holds statistics of {side.moments.dimension} dimensions, {encoder.name} makes "
                f"{encoder.dimension}; give the --encoder that they were made with, or the audio"
            )
    sizes = (reference.moments.count, judged.moments.count)
    _refuse_small(reference, judged, encoder, per, small)
    chance = chance_distance(reference.moments, *sizes) if all(sizes) else None
    distance = frechet_distance(reference.moments, judged.moments)
    a, b = reference.sample, judged.sample
    inf: Extrapolated | None = None
    unbiased: Extrapolated | None = None
    if b is not None and len(b.vectors_ND) > 4:
        subsets = subset_sizes(len(b.vectors_ND), min(encoder.dimension + 1, len(b.vectors_ND) // 2))
        inf = extrapolate(reference.moments, b.vectors_ND, subsets)
        unbiased = extrapolate(reference.moments, b.vectors_ND, subsets, replace=False)
    return Comparison(
        encoder=encoder,
        per=per,
        reference=reference.name,
        judged=judged.name,
        vectors=sizes,
        frechet=distance,
        frechet_by_chance=chance,
        frechet_inf=inf,
        frechet_unbiased=unbiased,
        kernel=kernel_distance(a.vectors_ND, b.vectors_ND) if a and b else None,
        kad=kad(a.vectors_ND, b.vectors_ND) if a and b else None,
        notes=tuple(_notes(reference, judged, encoder, through_hz, distance, chance)),
        **_neighbours(a, b),
    )


def _neighbours(a: Sampled | None, b: Sampled | None) -> dict[str, Any]:
    """By clip: a clip of many frames is its mean."""
    if a is None or b is None or min(len(a.clips), len(b.clips)) < 3:
        return {}
    around = look_around(a.centres_CD, b.centres_CD)
    strangest = np.argsort(-around.strangeness_M, kind="stable")[:_OUTLIERS]
    return {
        **{name: getattr(around, name) for name in ("precision", "recall", "density", "coverage")},
        "outliers": tuple(
            Outlier(
                clip=b.clips[i],
                strangeness=round(float(around.strangeness_M[i]), 4),
                nearest=a.clips[int(around.nearest_M[i])],
            )
            for i in strangest
        ),
    }


def _refuse_small(reference: Side, judged: Side, encoder: EmbedderCard, per: str, small: bool) -> None:
    for side in (reference, judged):
        count = side.moments.count
        if count == 1:
            raise BadInput(f"set {side.name!r} has one {per}; a distance needs at least 2, and hundreds to mean much")
        if count and count <= encoder.dimension and not small:
            raise BadInput(
                f"set {side.name!r} has {count} {per}s, too few for the covariance of {encoder.name}'s "
                f"{encoder.dimension} dimensions: at least {encoder.dimension + 1} are needed, about "
                f"{10 * encoder.dimension} for a small bias; --small compares all the same, and says what chance alone "
                "would give"
            )


def _notes(
    reference: Side,
    judged: Side,
    encoder: EmbedderCard,
    through_hz: int,
    distance: float,
    chance: float | None,
) -> list[str]:
    heard_hz = min(through_hz or encoder.sample_rate_hz, encoder.sample_rate_hz)
    notes = []
    for side in (reference, judged):
        if side.labelled_by is not None and side.labelled_by.weights_hash == encoder.weights_hash:
            notes.append(
                f"{encoder.name} also chose the captions of {side.name}: as a judge of what was made from them it is "
                "partial; let another --encoder judge too"
            )
        if not side.moments.count:
            notes.append(f"{side.name} does not say how many vectors it is made of: its bias by chance is not known")
        low = {rate: n for rate, n in side.source_rates_hz.items() if rate < heard_hz}
        if low:
            said = ", ".join(f"{n} at {rate} Hz" for rate, n in low.items())
            notes.append(
                f"{side.name}: {sum(low.values())} of {sum(side.source_rates_hz.values())} clips come from less than "
                f"the {heard_hz} Hz that {encoder.name} hears ({said}); missing treble counts as "
                f"distance, unless both sets go through it: --rate {min(low)}"
            )
    if chance is not None and distance > 0 and chance > _BIAS_WORTH_A_WORD * distance:
        notes.append(
            f"Fréchet distance: {chance:.4g} of {distance:.4g} is what sets of these sizes are apart by chance; "
            "compare with frechet_unbiased or the kernel distance"
        )
    return notes
