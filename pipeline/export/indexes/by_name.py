"""One door to the indexes: the files of those that a spec names."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.export.indexes.ace_step import ace_step_csv, ace_step_files
from pipeline.export.indexes.audiocraft import audiocraft_files
from pipeline.export.indexes.audioldm import audioldm_files
from pipeline.export.indexes.index import Files, Listed
from pipeline.export.indexes.lhotse import lhotse_files
from pipeline.export.indexes.stable_audio import stable_audio_files
from pipeline.export.indexes.tangoflux import tangoflux_files

__all__ = ["index_files"]


def index_files(listed: Listed) -> Files:
    """Of every index that was asked for. musicgen-trainer has none: its folder is its list."""
    makers: dict[str, Callable[[Listed], Files]] = {
        "stable-audio": _stable_audio,
        "audiocraft": audiocraft_files,
        "ace-step": ace_step_files,
        "ace-step-1.5": ace_step_csv,
        "audioldm": audioldm_files,
        "tangoflux": tangoflux_files,
        "lhotse": lhotse_files,
    }
    for name in listed.spec.index:
        if name in makers:
            yield from makers[name](listed)


def _stable_audio(listed: Listed) -> Files:
    for name, text in stable_audio_files(listed.spec, listed.root, listed.splits).items():
        yield name, [text.encode()]
