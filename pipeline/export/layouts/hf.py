"""`hf`: Parquet with audio inside, one table that `datasets`, pandas and the hub read as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipeline.crate.schema import with_features
from pipeline.crate.shards import ShardWriter
from pipeline.export.encode import audio_seconds, suffix
from pipeline.export.example import Example
from pipeline.export.layouts.layout import PerSplit, Removal, Row
from pipeline.export.spec import ExportSpec
from pipeline.parquet import parquet_file
from pipeline.storage import HashingFile, Storage

__all__ = ["GROUP_BYTES", "HF_USAGE", "Hf", "dataset_info", "hf_schema", "tokens_usage"]

GROUP_BYTES = 64 << 20
"""Audio in a row group, at most: what a reader must hold to read one row."""


def hf_schema(spec: ExportSpec, dimension: int = 0) -> pa.Schema:
    """The columns; text is never null, and nothing else is either."""
    text, texts, number = pa.string(), pa.list_(pa.string()), pa.float64()
    fields = [
        ("audio", pa.struct([("bytes", pa.binary()), ("path", text)])),
        ("clip_id", text),
        ("text", text),
        ("captions", texts),
        ("keywords", texts),
        ("tags", texts),
        *((name, text) for name in ("title", "artist", "album", "isrc", "licence", "source", "source_sha256")),
        ("track_id", text),
        *((name, number) for name in ("start_s", "duration_s", "track_duration_s")),
        *((name, pa.int32()) for name in ("source_rate_hz", "source_channels")),
    ]
    if dimension:
        fields.append(("embedding", pa.list_(pa.float32(), dimension)))
    if spec.tokens is not None:
        fields.append(("tokens", pa.list_(pa.list_(pa.int16()))))
        fields += [("token_scales", pa.list_(pa.float32()))] if spec.tokens.scaled else []
    return with_features(pa.schema([pa.field(name, kind) for name, kind in fields]), {"audio": spec.rate_hz})


HF_USAGE = """```python
from datasets import load_dataset

clips = load_dataset("path/to/this/folder", split="train")
```

`text` is one string a row and never null; `captions` are all sentences of the clip. A trainer that samples captions
draws from `captions` each time it reads a row.
"""


def tokens_usage(spec: ExportSpec) -> str:
    """What a reader of `tokens` must know, in Markdown."""
    if (codec := spec.tokens) is None:
        return ""
    said = (
        f"\n`tokens` [codebooks, frames] are integer codes of the audio beside them by {codec.line()}. The first k "
        "rows are the codes of the same codec with k codebooks."
    )
    if codec.chunk_frames:
        said += (
            f" The codec hears chunks that overlap: {codec.chunk_frames} frames are one chunk, the last may be shorter."
        )
    if codec.scaled:
        said += " `token_scales` has the loudness of each chunk, which decoding needs."
    return said + "\n"


def dataset_info(spec: ExportSpec, dimension: int, rows: Mapping[str, int], size: Mapping[str, int]) -> str:
    """The hub's `dataset_info` in YAML: features, and rows and bytes by split."""
    lines = ["dataset_info:", "  features:", "  - name: audio", "    dtype:", "      audio:"]
    lines.append(f"        sampling_rate: {spec.rate_hz}")
    for field in hf_schema(spec, dimension if spec.with_embeddings else 0):
        if field.name == "tokens":
            lines += ["  - name: tokens", "    sequence:", "      sequence: int16"]
        elif field.name != "audio":
            kind = field.type.value_type if pa.types.is_nested(field.type) else field.type
            word = "sequence" if pa.types.is_nested(field.type) else "dtype"
            name = {pa.string(): "string", pa.float64(): "float64", pa.float32(): "float32", pa.int32(): "int32"}[kind]
            lines += [f"  - name: {field.name}", f"    {word}: {name}"]
            lines += [f"    length: {dimension}"] if field.name == "embedding" else []
    lines.append("  splits:")
    for split, count in sorted(rows.items()):
        lines += [f"  - name: {split}", f"    num_bytes: {size[split]}", f"    num_examples: {count}"]
    lines += [f"  download_size: {sum(size.values())}", f"  dataset_size: {sum(size.values())}"]
    return "\n".join(lines)


class Hf:
    """`data/SPLIT-00007.parquet`, a file a shard and split; the name stays when a crate grows by more shards."""

    has_audio = True

    def __init__(self, dimension: int = 0) -> None:
        self._dimension = dimension

    def write(self, out: Storage, spec: ExportSpec, index: int, examples: Iterator[Example]) -> dict[str, HashingFile]:
        def name(split: str) -> str:
            return f"data/{split}-{index:05d}.parquet"

        with PerSplit(out, name, lambda file: self._writer(file, spec), ShardWriter.close) as writers:
            for example in examples:
                writers.of(example.split).add([self._row(example, spec)])
        return writers.files

    def _writer(self, file: HashingFile, spec: ExportSpec) -> ShardWriter:
        schema = hf_schema(spec, self._dimension if spec.with_embeddings else 0)
        return ShardWriter(file, schema, media=["audio"], group_bytes=GROUP_BYTES)

    def remove(self, out: Storage, spec: ExportSpec, files: Sequence[str], gone: frozenset[str]) -> Removal:
        changed = {}
        for name in files:
            with out.open(name) as file:
                parquet = parquet_file(file)
                if gone.isdisjoint(parquet.read(columns=["track_id"], use_threads=False).column(0).to_pylist()):
                    continue
                with out.write(name) as wrote:
                    writer = self._writer(wrote, spec)
                    for group in range(parquet.metadata.num_row_groups):
                        rows = parquet.read_row_group(group, use_threads=False).to_pylist()
                        for row in rows:
                            if row["track_id"] not in gone:
                                writer.add([row])
                    writer.close()
                changed[name] = wrote
        return Removal(changed=changed, deleted=())

    def rows(self, out: Storage, spec: ExportSpec, files: Sequence[str]) -> Iterator[Row]:
        columns = ["licence", "source_rate_hz", "source_channels", "audio.bytes"]
        for name in files:
            split = name.rpartition("/")[2].partition("-")[0]
            with out.open(name) as file:
                for batch in parquet_file(file).iter_batches(batch_size=16, columns=columns, use_threads=False):
                    for row in batch.to_pylist():
                        yield Row.of(row, split, audio_seconds(row["audio"]["bytes"]))

    def _row(self, example: Example, spec: ExportSpec) -> dict[str, Any]:
        row: dict[str, Any] = {
            "audio": {"bytes": example.sound.data, "path": f"{example.id}.{suffix(spec.codec)}"},
            "clip_id": example.id,
            "captions": list(example.captions),
            "keywords": list(example.keywords),
            "tags": list(example.tags),
        }
        plain = (
            "text title artist album isrc licence source source_sha256 track_id start_s duration_s track_duration_s "
        )
        plain += "source_rate_hz source_channels"
        row |= {name: getattr(example, name) for name in plain.split()}
        row |= {"embedding": example.embedding} if spec.with_embeddings else {}
        if (tokens := example.tokens) is not None:
            row |= {"tokens": list(tokens.codes_KF), "token_scales": list(tokens.scales)}
        return row

    def read(self, out: Storage, name: str, limit: int) -> Iterator[tuple[dict[str, Any], bytes]]:
        with out.open(name) as file:
            parquet = parquet_file(file)
            for batch in parquet.iter_batches(
                batch_size=limit, columns=["clip_id", "text", "captions", "audio.bytes"], use_threads=False
            ):
                for row in batch.to_pylist()[:limit]:
                    yield (
                        {"id": row["clip_id"], "text": row["text"], "captions": row["captions"]},
                        row["audio"]["bytes"],
                    )
                return
