"""README.md of an export: what it holds, what was left out, how it is read, under which licences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.publishing.hub import hub_fields, licence_rows
from pipeline.source.licence import forbids_commerce, forbids_derivatives, spdx

if TYPE_CHECKING:
    from pipeline.export.export import Export

__all__ = ["card", "licence_notes"]


def card(export: Export, counts: Mapping[str, int], *, usage: str = "", features: str = "") -> str:
    """Nothing about where or when: the same export has the same card.

    usage: how a layout is read, in Markdown. features: of `dataset_info`, in YAML.
    """
    spec, clips = export.spec, counts.get("clips", 0)
    splits = named(counts, "split:")
    licences = named(counts, "licence:")
    lines = ["---", *hub_fields(clips, licences)]
    if spec.layout == "hf":
        lines += ["configs:", "- config_name: default", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: data/{split}-*.parquet"]
        lines += features.splitlines()
    unit = "tracks" if spec.whole_tracks else "clips"
    hours = counts.get("milliseconds", 0) / 3.6e6
    lines += ["---", "", "# Music with pseudo-captions", ""]
    lines += [f"{clips} {unit} ({hours:.2f} hours){_audio(spec)}, exported by cratedig.", ""]
    if len(splits) > 1:
        lines += ["| split | " + unit + " |", "|---|---|", *(f"| {name} | {n} |" for name, n in splits.items()), ""]
    lines += [usage.strip(), ""] if usage else []
    lines += ["## Left out", ""]
    dropped = named(counts, "dropped:")
    lines += ["| reason | clips |", "|---|---|", *(f"| {why} | {n} |" for why, n in dropped.items())]
    if not dropped:
        lines[-2:] = ["Nothing."]
    lines += ["", "## Text", "", "The captions are retrieved by a model and not checked by people.", ""]
    lines += [
        "## Licences",
        "",
        *licence_rows(licences, unit),
        "",
        "ATTRIBUTION.csv has title, artist and licence by track.",
    ]
    lines += ["", *(f"- {note}" for note in licence_notes(counts)), ""]
    if contact := export.crate.get("published", {}).get("contact"):
        lines += [f"To have a track removed, ask {contact}.", ""]
    return "\n".join(lines)


def licence_notes(counts: Mapping[str, int]) -> list[str]:
    """What somebody who trains on the export should know of its licences."""
    licences = named(counts, "licence:")
    notes = []
    for said, asks in (("non-commercial use only", forbids_commerce), ("no adapted works", forbids_derivatives)):
        if count := sum(n for name, n in licences.items() if asks(name)):
            notes.append(f"{count} are under a licence for {said}" if asks is forbids_commerce else f"{count}: {said}")
    if count := sum(n for name, n in licences.items() if not spdx(name)):
        notes.append(f"{count} are under no licence that is known")
    return notes


def named(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    """The counts whose name begins so, without the prefix, by name."""
    return {name.removeprefix(prefix): n for name, n in sorted(counts.items()) if name.startswith(prefix)}


def _audio(spec: Any) -> str:
    if spec.layout == "captions":
        return " as text without audio"
    kind = "mono" if spec.channels == 1 else "stereo"
    return f", {kind} {spec.codec.upper()} at {spec.rate_hz} Hz"
