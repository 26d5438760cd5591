"""Fields that the Hugging Face hub reads at the top of a card: licence, size, tasks, who made the annotations."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.source.licence import spdx

__all__ = ["hub_fields", "licence_class", "licence_rows"]

UNKNOWN = "unknown"
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"))  # fmt: skip


def licence_class(given: str) -> str:
    """What a licence is counted as: its SPDX identifier, `other: ` and the text as it was given, or `unknown`."""
    text = " ".join(given.split())
    return spdx(text) or (f"other: {text}" if text else UNKNOWN)


def hub_fields(clips: int, licences: Mapping[str, int]) -> list[str]:
    """Lines of YAML. licences: SPDX identifier, or any other text for what is none -> clips."""
    only = next(iter(licences)) if len(licences) == 1 else ""
    licence = [f"license: {only.lower()}"] if spdx(only) else [
        "license: other", "license_name: see-table", "license_link: README.md"
    ]  # fmt: skip
    return [
        *licence,
        "language: [en]",
        "task_categories: [text-to-audio, audio-classification]",
        "annotations_creators: [machine-generated]",
        "source_datasets: [original]",
        f"size_categories: ['{next((name for below, name in _SIZES if clips < below), 'n>10M')}']",
        "tags: [music, audio, captions]",
    ]


def licence_rows(licences: Mapping[str, int], unit: str) -> list[str]:
    """A table in Markdown, the most frequent first; nobody's text may break out of its cell."""
    ordered = sorted(licences.items(), key=lambda pair: (-pair[1], pair[0]))
    return [f"| licence | {unit} |", "|---|---|", *(f"| {name.replace('|', '/')} | {n} |" for name, n in ordered)]
