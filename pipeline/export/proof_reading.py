"""An export read back by ourselves, so that it is known to hold what it says before anybody trains on it."""

from __future__ import annotations

import io

from pipeline.errors import RunFailed
from pipeline.export.export import Export

__all__ = ["read_back"]


def read_back(export: Export, limit: int = 3) -> list[str]:
    """A line for each of the first examples. Raises RunFailed where the audio is not what export.json says."""
    import soundfile

    spec, lines = export.spec, []
    for fields, audio in export.samples(limit):
        said = f"{fields['id']}: {fields['text']!r}"
        if audio:
            info = soundfile.info(io.BytesIO(audio))
            if (info.samplerate, info.channels) != (spec.rate_hz, spec.channels):
                raise RunFailed(
                    f"{export.storage.url}: {fields['id']} is {info.samplerate} Hz with {info.channels} channels, "
                    f"export.json says {spec.rate_hz} and {spec.channels}; delete the folder and export again"
                )
            said = f"{info.samplerate} Hz, {info.channels} ch, {info.frames / info.samplerate:.2f} s, " + said
        lines.append(said)
    return lines
