"""The dataset card: README.md of a crate, with the settings that let `datasets` load it by folder."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.crate.crate import LABELS, Crate, label_runs, read_run
from pipeline.crate.manifest import shard_counts
from pipeline.crate.schema import audio_columns

__all__ = ["write_card"]


def write_card(crate: Crate) -> None:
    """Say what is in the crate, what made it, and how to read it; nothing about where or when."""
    runs = label_runs(crate)
    counts = shard_counts(crate)
    hours = counts["clips"] * crate.config.clip_s / 3600
    levels = ("row:", "track:", "clip:")
    rejects = [f"| {name} | {count} |" for name, count in sorted(counts.items()) if name.startswith(levels)]
    audio = ", ".join(f"`{name}` ({rate / 1000:g} kHz)" for name, rate in audio_columns(crate.config).items())
    lines = [
        "---",
        "configs:",
        *_config("clips", "clips/**/*.parquet", default=True),
        *(line for run in runs for line in _config(f"labels-{run}", f"{LABELS}/{run}/**/*.parquet")),
        *_config("rejects", "rejects/**/*.parquet"),
        "tags: [music, audio, captions]",
        "---",
        "",
        "# Music clips with pseudo-captions",
        "",
        f"{counts['clips']} clips of {crate.config.clip_s:g} s ({hours:.2f} hours) from {counts['tracks']} tracks, "
        "mined by cratedig.",
        f"Audio columns: {audio}, FLAC, mono. Embedding: {crate.embedder.dimension} numbers from "
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
        "Each clip carries what the input's list, else the file's own tags, say of its track: `title`, `artist`, "
        "`album`, `isrc`, `licence` (empty where nothing was said), and `copyright` in `extra`; `from_list` and "
        "`from_file` name the source.",
        f"Embedder weights: {crate.embedder.licence or 'licence not stated'}.",
        "",
    ]
    crate.storage.write_bytes("README.md", "\n".join(lines).encode())


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
