"""The columns of a crate's Parquet files, with the Hugging Face feature metadata that makes audio play."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipeline.config import ClipsConfig

__all__ = [
    "LABEL_TYPE",
    "audio_channels",
    "audio_columns",
    "clips_schema",
    "labels_schema",
    "plan_schema",
    "rejects_schema",
    "with_features",
]

_STRING = pa.string()
_STRINGS = pa.list_(pa.string())
_EXTRA = pa.list_(pa.struct([("name", _STRING), ("value", _STRING)]))
_AUDIO = pa.struct([("bytes", pa.binary()), ("path", _STRING)])
_TRACK_FIELDS = [
    ("title", _STRING),
    ("artist", _STRING),
    ("album", _STRING),
    ("isrc", _STRING),
    ("tags", _STRINGS),
    ("licence", _STRING),
    ("extra", _EXTRA),
]

LABEL_TYPE = pa.list_(
    pa.struct(
        [
            ("caption_id", _STRING),
            ("text", _STRING),
            ("score", pa.float32()),
            ("rank", pa.int32()),
            ("count", pa.int64()),
            ("probability", pa.float64()),
        ]
    )
)
"""The captions drawn for a clip from one vocabulary, best first.

score: cosine, less the caption's mean where hubs were corrected, and with what its facts add where the model asks for
that. rank: place among the candidates, from 0. count: how often the caption is a candidate, over all clips; where facts
count, how often any caption of its meaning is. probability: its share of the draw's weights, (1/count) / sum over the
candidates of 1/count (PAPER 3.6).
"""


def audio_columns(config: ClipsConfig) -> dict[str, int]:
    """Column name -> sample rate in Hz: `audio` for the first rate, `audio_16k` and so on for the others."""
    first, *others = config.sample_rates_hz
    return {"audio": first} | {f"audio_{rate / 1000:g}k".replace(".", "_"): rate for rate in others}


def audio_channels(config: ClipsConfig) -> dict[str, int]:
    """Column name -> channels of its FLAC."""
    return {name: 2 if config.stereo and name == "audio" else 1 for name in audio_columns(config)}


def plan_schema() -> pa.Schema:
    """One row a track: its shard and place in it, and all that is known of it without opening the file.

    removed: the digest of the row that stood here, where the track was taken down; empty otherwise.
    """
    return pa.schema(
        [("track_id", _STRING), ("key", _STRING), ("path", _STRING), ("shard", pa.int32()), ("position", pa.int32())]
        + _TRACK_FIELDS
        + [("removed", _STRING)]
    )


def clips_schema(config: ClipsConfig, dimension: int) -> pa.Schema:
    """One row a clip: identity, audio, embedding, quality, provenance.

    music_score: how much nearer to music than to other sounds, by the embedder; null where it cannot tell.
    channels: of a stereo crate, how many of `audio` differ: 1 where left and right are the same samples.
    from_list, from_file: which of the describing columns and extras the list had, and which the file's own tags.
    """
    columns = audio_columns(config)
    schema = pa.schema(
        [
            ("clip_id", _STRING),
            ("track_id", _STRING),
            ("index", pa.int32()),
            ("start_s", pa.float64()),
            ("duration_s", pa.float64()),
            *((name, _AUDIO) for name in columns),
            ("embedding", pa.list_(pa.float32(), dimension)),
            ("music_score", pa.float32()),
            *_TRACK_FIELDS,
            ("from_list", _STRINGS),
            ("from_file", _STRINGS),
            ("peak", pa.float32()),
            ("rms_dbfs", pa.float32()),
            ("clipped_share", pa.float32()),
            ("silent_share", pa.float32()),
            *([("channels", pa.int32())] if config.stereo else []),
            ("source_key", _STRING),
            ("source_sha256", _STRING),
            ("source_bytes", pa.int64()),
            ("source_duration_s", pa.float64()),
            ("source_sample_rate_hz", pa.int32()),
            ("source_channels", pa.int32()),
            ("source_codec", _STRING),
            ("source_container", _STRING),
            ("source_decode_errors", pa.int32()),
        ]
    )
    return with_features(schema, columns)


def rejects_schema() -> pa.Schema:
    """One row a track or clip that was left out, with its reason."""
    return pa.schema(
        [
            ("track_id", _STRING),
            ("key", _STRING),
            ("level", _STRING),
            ("stage", _STRING),
            ("reason", _STRING),
            ("detail", _STRING),
            ("index", pa.int32()),
            ("start_s", pa.float64()),
            ("duration_s", pa.float64()),
        ]
    )


def labels_schema(slots: Sequence[str], *, prompt: bool = False) -> pa.Schema:
    """One row a clip, in the order of the clips' shard: metadata texts and the captions drawn for each slot."""
    fields: list[tuple[str, Any]] = [("clip_id", _STRING), ("metadata", _STRINGS)]
    if prompt:
        fields.append(("prompt", _STRING))
    return with_features(pa.schema(fields + [(slot, LABEL_TYPE) for slot in slots]), {})


def with_features(schema: pa.Schema, audio: dict[str, int]) -> pa.Schema:
    """The schema with the metadata that `datasets` reads: without it audio columns would load as plain structs."""
    features = {f.name: _feature(f.type) for f in schema}
    features |= {name: {"sampling_rate": rate, "_type": "Audio"} for name, rate in audio.items()}
    return schema.with_metadata({"huggingface": json.dumps({"info": {"features": features}})})


_VALUE_NAMES = {pa.string(): "string", pa.binary(): "binary", pa.float32(): "float32", pa.float64(): "float64"}


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {f.name: _feature(f.type) for f in kind}
    return {"dtype": _VALUE_NAMES.get(kind, str(kind)), "_type": "Value"}
