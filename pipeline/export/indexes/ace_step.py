"""ACE-Step: for version 1 a dataset that `datasets.load_from_disk` opens, for 1.5 a CSV in the folder of audio."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import pyarrow as pa

from pipeline.crate.schema import with_features
from pipeline.export.indexes.index import Files, Listed
from pipeline.ids import content_hash

__all__ = ["ace_step_csv", "ace_step_files"]

_BATCH = 1_000


def ace_step_files(listed: Listed) -> Files:
    """`ace-step/SPLIT/`: Arrow, as `save_to_disk` lays it out.

    `recaption` holds the captions, of which its reader draws one each time; every row needs the same keys, so a clip
    with fewer captions says some twice. `speaker_emb_path` must be empty, `norm_lyrics` is: instrumental.
    """
    most = max((len(row["captions"]) for row in listed.rows()), default=1)
    schema = with_features(_schema(most), {})
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    for split in listed.splits:
        folder, name = f"ace-step/{split}", "data-00000-of-00001.arrow"
        yield f"{folder}/{name}", _arrow(schema, (_row(listed, row, most) for row in listed.of(split)))
        state: dict[str, Any] = {
            "_data_files": [{"filename": name}],
            "_fingerprint": content_hash([split, listed.splits[split], listed.spec.data_hash, listed.root]),
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": None,
        }
        info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
        yield f"{folder}/state.json", [json.dumps(state, indent=2).encode()]
        yield f"{folder}/dataset_info.json", [json.dumps(info, indent=2).encode()]


def ace_step_csv(listed: Listed) -> Files:
    """`audio/SPLIT/captions.csv`: File is a base name; every field quoted, since its reader guesses the dialect."""
    for split in listed.splits:
        yield f"audio/{split}/captions.csv", _csv(listed.of(split))


def _csv(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["File", "Caption", "BPM", "Key"])
    for row in rows:
        beats = f"{row['bpm']:.0f}" if row["bpm"] else ""
        writer.writerow([row["path"].rpartition("/")[2], row["text"], beats, row["key"]])
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def _schema(captions: int) -> pa.Schema:
    text = pa.string()
    recaption = pa.struct([(f"caption_{number}", text) for number in range(captions)])
    fields = [("keys", text), ("filename", text), ("tags", pa.list_(text)), ("speaker_emb_path", text)]
    return pa.schema([*fields, ("norm_lyrics", text), ("recaption", recaption)])


def _row(listed: Listed, row: dict[str, Any], most: int) -> dict[str, Any]:
    captions = row["captions"]
    return {
        "keys": row["id"],
        "filename": listed.path(row["path"]),
        "tags": row["keywords"] or row["tags"] or ["music"],
        "speaker_emb_path": "",
        "norm_lyrics": "",
        "recaption": {f"caption_{number}": captions[number % len(captions)] for number in range(most)},
    }


def _arrow(schema: pa.Schema, rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            yield sink.getvalue()
            sink.seek(0)
            sink.truncate()
    yield sink.getvalue()
