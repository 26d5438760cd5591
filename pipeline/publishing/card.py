"""The dataset card: README.md of a crate, with the settings that let `datasets` load it by folder."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.crate.crate import CLIPS, LABELS, Crate, label_runs, read_run
from pipeline.crate.dataset import read_once
from pipeline.crate.manifest import shard_counts
from pipeline.crate.schema import audio_channels, audio_columns
from pipeline.publishing.attribution import ATTRIBUTION, attribution
from pipeline.publishing.croissant import croissant_json
from pipeline.publishing.datasheet import DATASHEET, datasheet, with_contact
from pipeline.publishing.hub import hub_fields, licence_class, licence_rows
from pipeline.publishing.published import read_published

__all__ = ["Sources", "write_card"]

_IN_MEMORY = 16 << 20


class Sources:
    """A watcher of what clips say of their tracks: lines of ATTRIBUTION.csv, and clips by licence."""

    _COLUMNS = ("track_id", "title", "artist", "album", "licence", "source_key")

    def __init__(self) -> None:
        self.licences: Counter[str] = Counter()
        self.lines = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115  # for as long as this is
        self.lines.writelines(attribution(()))

    def columns(self, shard: int) -> dict[str, Sequence[str]]:
        return {CLIPS: self._COLUMNS}

    def see(self, shard: int, tables: Mapping[str, pa.Table]) -> None:
        """All clips of a track lie in one shard."""
        rows = tables[CLIPS].select(list(self._COLUMNS)).to_pylist()
        self.licences.update(licence_class(row["licence"] or "") for row in rows)
        _, *lines = attribution(row | {"source": row["source_key"]} for row in rows)
        self.lines.writelines(lines)


def write_card(crate: Crate, sources: Sources | None = None) -> None:
    """README.md: what is in the crate, what made it, how to read it; nothing about where or when. With it
    ATTRIBUTION.csv, croissant.json, and DATASHEET.md unless there is one: that is for people to fill in.

    sources: a watcher that has seen the crate; without it the crate is read.
    """
    runs, published = label_runs(crate), read_published(crate.storage)
    contact = published.get("contact", "")
    counts = shard_counts(crate)
    hours = counts["clips"] * crate.config.clip_s / 3600
    levels = ("row:", "track:", "clip:")
    rejects = [f"| {name} | {count} |" for name, count in sorted(counts.items()) if name.startswith(levels)]
    sides = {1: "mono", 2: "two channels"}
    audio = ", ".join(
        f"`{name}` ({rate / 1000:g} kHz{f', {sides[channels]}' if crate.config.stereo else ''})"
        for (name, rate), channels in zip(
            audio_columns(crate.config).items(), audio_channels(crate.config).values(), strict=True
        )
    )
    if sources is None:
        read_once(crate, [sources := Sources()])
    licences = sources.licences
    with crate.storage.write(ATTRIBUTION) as file:
        sources.lines.seek(0)
        shutil.copyfileobj(sources.lines, file, 1 << 20)
    lines = [
        "---",
        *hub_fields(counts["clips"], licences),
        "pretty_name: Music clips with pseudo-captions",
        "configs:",
        *_config("clips", "clips/**/*.parquet", default=True),
        *(line for run in runs for line in _config(f"labels-{run}", f"{LABELS}/{run}/**/*.parquet")),
        *_config("rejects", "rejects/**/*.parquet"),
        *_dataset_info(crate, licences.total()),
        "---",
        "",
        "# Music clips with pseudo-captions",
        "",
        f"{counts['clips']} clips of {crate.config.clip_s:g} s ({hours:.2f} hours) from {counts['tracks']} tracks, "
        "mined by cratedig.",
        f"Audio columns: {audio}, FLAC{'' if crate.config.stereo else ', mono'}. "
        f"Embedding: {crate.embedder.dimension} numbers from "
        f"{crate.embedder.name}, the mean over windows of {crate.embedder.window_s:g} s.",
        "",
        "```python",
        "from datasets import Audio, load_dataset",
        'clips = load_dataset("parquet", data_files="clips/**/*.parquet", split="train")',
        "# Audio is decoded by torchcodec, which datasets 4 and later need. For soundfile.read(io.BytesIO(...)):",
        *(
            f'clips = clips.cast_column("{name}", Audio(decode=False))  # clips[0]["{name}"]["bytes"] is FLAC'
            for name in audio_columns(crate.config)
        ),
        *(
            f'labels = load_dataset("parquet", data_files="{LABELS}/{run}/**/*.parquet", split="train")  # same rows, '
            "same order"
            for run in runs[:1]
        ),
        "```",
        "",
        "`cratedig verify` on this folder proves that every track of `plan/` is here or in `rejects/`.",
        "",
        *_labels_section(crate, runs),
        "## Left out",
        "",
        *(["| level and reason | count |", "|---|---|", *rejects] if rejects else ["Nothing."]),
        "",
        "## Licence",
        "",
        *licence_rows(licences, "clips"),
        "",
        "ATTRIBUTION.csv has title, artist and licence by track, as given and as SPDX; DATASHEET.md the questions that "
        "only the makers of this collection can answer.",
        "",
        "Each clip carries what the input's list, else the file's own tags, say of its track: `title`, `artist`, "
        "`album`, `isrc`, `licence` (empty where nothing was said), and `copyright` in `extra`; `from_list` and "
        "`from_file` name the source.",
        *([f"To have a track removed, ask {contact}.", ""] if contact else []),
        f"Embedder weights: {crate.embedder.licence or 'licence not stated'}.",
        "",
    ]
    described = croissant_json(
        description=f"{counts['clips']} music clips of {crate.config.clip_s:g} s with captions that a model retrieved.",
        licences=licences,
        includes="clips/*/*.parquet",
        texts=("clip_id", "track_id", "title", "artist", "album", "licence", "source_key", "source_sha256"),
        numbers=("start_s", "duration_s", "source_duration_s"),
        published=published.get("date", ""),
    )
    crate.storage.write_bytes("croissant.json", described)
    sheet = crate.storage.read_bytes(DATASHEET).decode() if crate.storage.exists(DATASHEET) else ""
    if (told := with_contact(sheet or datasheet(), contact)) != sheet:
        crate.storage.write_bytes(DATASHEET, told.encode())
    crate.storage.write_bytes("README.md", "\n".join(lines).encode())


def _dataset_info(crate: Crate, clips: int) -> list[str]:
    """Rows and bytes of the default config; its features stand in the Parquet files themselves."""
    size = sum(wrote["bytes"] for marker in crate.markers(CLIPS) if marker for name, wrote in marker["files"].items()
               if name.startswith(CLIPS))  # fmt: skip
    lines = ["dataset_info:", "- config_name: clips", "  splits:", "  - name: train"]
    lines += [f"    num_bytes: {size}", f"    num_examples: {clips}"]
    return [*lines, f"  download_size: {size}", f"  dataset_size: {size}"]


def _config(name: str, pattern: str, *, default: bool = False) -> list[str]:
    lines = [f"- config_name: {name}", f"  data_files: {pattern}"]
    return [*lines, "  default: true"] if default else lines


def _labels_section(crate: Crate, runs: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for run in runs:
        said = read_run(crate, run)
        lines += [
            f"## Labels `{run}`",
            "",
            f"Profile {said['profile']}, seed {said['seed']}, draw: {said['method']}.",
            "",
        ]
        for slot, about in sorted(said["slots"].items()):
            lines.append(
                f"- `{slot}`: {about['draw']} of the {about['k']} best of {about['captions']} {about['kind']} captions "
                f"({about['vocabulary']}), by cosine"
                f"{', hub-corrected' if about['debias'] not in (False, 'none') else ''}"
                f"{', among those that the model can tell' if about.get('heard') else ''}"
            )
        lines.append("")
    if runs:
        lines += ["The captions are retrieved by a model and not checked by people.", ""]
    return lines
