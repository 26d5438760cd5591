"""Pages of evaluations: one HTML file each that needs nothing else, in the look of a crate's report.

T samples, mono.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labeling.evaluation.clip_sets import ClipSet, FileSet, SetClip
from labeling.report.pictures import encode_mp3

__all__ = ["players", "render"]

_HERE = Path(__file__).parent
_STYLE = _HERE.parent / "report" / "page.css"
_PLAYED_HZ = 24_000
_PLAYED_S = 30.0


def render(template: str, *, folder: Path = _HERE, **context: Any) -> bytes:
    """A page from `template` of `folder`; what it extends lies here."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([folder, _HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"plain": _plain, "signed": _signed, "count": lambda value: f"{value:,}"}
    style = _STYLE.read_text(encoding="utf-8")
    return environment.get_template(template).render(style=style, **context).encode("utf-8", "replace")


def players(clips: ClipSet, wanted: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """clip_id -> MP3 in base64, of rows of `EncodedSet.rows`; only shards that hold one of them are read."""
    ids = {row["clip_id"] for row in wanted}
    found: dict[str, str] = {}
    for clip in _read(clips, wanted):
        if isinstance(clip, SetClip) and clip.clip_id in ids:
            found[clip.clip_id] = mp3(clip.audio_T)
    return found


def mp3(audio_T: NDArray[np.float32], rate_hz: int = _PLAYED_HZ) -> str:
    """As a page carries it."""
    return base64.b64encode(encode_mp3(audio_T[: round(_PLAYED_S * rate_hz)], rate_hz)).decode()


def _read(clips: ClipSet, wanted: Sequence[Mapping[str, Any]]) -> Iterable[Any]:
    if isinstance(clips, FileSet):
        tracks = {row["track_id"] for row in wanted}
        files = [file for file in clips.files if file["track_id"] in tracks]
        clips = FileSet(name=clips.name, files=files, config=clips.config, middle_s=clips.middle_s)
        shards: Iterable[int] = range(clips.shard_count)
    else:
        shards = sorted({row["shard"] for row in wanted})
    for shard in shards:
        yield from clips.clips(shard, _PLAYED_HZ)


def _plain(value: float | None, digits: int = 3) -> str:
    """With a real minus sign; a dash for nothing."""
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}".replace("-", "−")


def _signed(value: float, digits: int = 3) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
