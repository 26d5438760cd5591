"""What an export would come to, before anything is written: clips, hours and bytes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice

from pipeline.crate.crate import Crate
from pipeline.export.card import licence_notes, named
from pipeline.export.layouts.by_name import layout_of
from pipeline.export.shard import Exporter, examples_of, selected
from pipeline.export.spec import ExportSpec

__all__ = ["ExportEstimate", "estimate_export"]

_SAMPLED_SHARDS, _SAMPLED_OF_EACH = 4, 3


@dataclass(frozen=True, kw_only=True)
class ExportEstimate:
    """Clips and hours are counted; bytes are judged from a few clips, made as they would be written."""

    spec: ExportSpec
    clips: int
    hours: float
    bytes: int
    counts: Counter[str]
    splits: Counter[str]

    def lines(self) -> list[str]:
        spec = self.spec
        size = f", about {self.bytes / 1e9:.3g} GB" if self.bytes >= 1e9 else f", about {self.bytes / 1e6:.3g} MB"
        lines = [f"{self.clips} clips, {self.hours:.2f} hours{size}; nothing is written"]
        if spec.layout != "captions":
            lines.append(f"audio: {spec.audio}, {spec.rate_hz} Hz, {spec.channels} channels, {spec.codec}")
        lines += [f"  split {name}: {n}" for name, n in sorted(self.splits.items())]
        lines += [f"  left out, {why}: {n} clips" for why, n in named(self.counts, "dropped:").items()]
        return lines + [f"  licence: {note}" for note in licence_notes(self.counts)]


def estimate_export(crate: Crate, spec: ExportSpec) -> ExportEstimate:
    """Read every row but for its audio, and make a few clips."""
    layout = layout_of(spec, crate.embedder.dimension)
    exporter = Exporter(crate=crate, spec=spec, out=crate.storage, layout=layout)
    counts, splits = Counter[str](), Counter[str]()
    seconds, tracks = 0.0, set[str]()
    for index in crate.shards:
        for example, _ in selected(exporter, index, counts):
            if spec.whole_tracks and example.track_id in tracks:
                continue
            if spec.whole_tracks:
                tracks = {example.track_id}  # a track's clips follow one another
            seconds += example.track_duration_s if spec.whole_tracks else crate.config.clip_s
            splits[example.split] += 1
            counts[f"licence:{example.licence or 'unknown'}"] += 1
    clips, count = sum(splits.values()), len(crate.shards)
    size, made = 0, 0
    try:
        for index in sorted({k * count // _SAMPLED_SHARDS for k in range(_SAMPLED_SHARDS)}) if clips else ():
            for example in islice(examples_of(exporter, index, Counter()), _SAMPLED_OF_EACH):
                size, made = size + (len(example.audio.data) if example.audio else len(example.text)), made + 1
    finally:
        exporter.close()
    return ExportEstimate(
        spec=spec,
        clips=clips,
        hours=seconds / 3600,
        bytes=round(size / made * clips) if made else 0,
        counts=counts,
        splits=splits,
    )
