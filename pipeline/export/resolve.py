"""Where the audio of an export comes from: a column of the crate, or its sources; never up-sampled without a word."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.crate.crate import Crate
from pipeline.crate.schema import audio_channels, audio_columns
from pipeline.errors import BadInput, DecodeFailure
from pipeline.source.fetch import fetched

__all__ = ["AudioChoice", "choose_audio", "missing_source"]

_LOOKED_AT = 8


@dataclass(frozen=True, kw_only=True)
class AudioChoice:
    """`audio`, `rate_hz` and `channels` of an `ExportSpec`."""

    audio: str
    rate_hz: int
    channels: int


def choose_audio(
    crate: Crate,
    *,
    audio: str | None,
    rate_hz: int | None,
    channels: int | None,
    wants_hz: int | None = None,
    wants_channels: int | None = None,
    reader: str = "this format",
) -> AudioChoice:
    """What was asked for, filled up with what the format's reader wants (`wants_`) and what the crate has.

    Without `audio`, a column of the crate where it is enough, else the sources.
    Raises BadInput for what neither has.
    """
    columns = audio_columns(crate.config)
    most = audio_channels(crate.config)
    kind = {name: f"{hz} Hz {'mono' if most[name] == 1 else 'stereo'}" for name, hz in columns.items()}
    has = ", ".join(f"{name} ({what})" for name, what in kind.items())
    if audio not in (None, "source", *columns):
        raise BadInput(f"{crate.storage.url} has no audio {audio!r}; it has {has}, and --audio source cuts again")
    if audio in columns:
        rate, wanted_channels = rate_hz or columns[str(audio)], channels or 1
        if rate > columns[str(audio)] or wanted_channels > most[str(audio)]:
            raise BadInput(
                f"--audio {audio} is {kind[str(audio)]}, asked for is {rate} Hz with {wanted_channels} "
                "channels; more than the crate holds comes from its sources: --audio source"
            )
        return AudioChoice(audio=str(audio), rate_hz=rate, channels=wanted_channels)
    rate = rate_hz or wants_hz or max(columns.values())
    wanted_channels = channels or wants_channels or 1
    enough = [(hz, name) for name, hz in columns.items() if hz >= rate and most[name] >= wanted_channels]
    if audio is None and enough:
        return AudioChoice(audio=min(enough)[1], rate_hz=rate, channels=wanted_channels)
    if gone := missing_source(crate):
        first = next(iter(columns))
        raise BadInput(
            f"{reader} at {rate} Hz with {wanted_channels} channels is cut from the sources, and {gone}; say where "
            f"they lie now: cratedig plan INPUT --out {crate.storage.url}, or take what the crate has: --audio {first} "
            f"({has}), which a trainer at a higher rate up-samples without gaining anything"
        )
    return AudioChoice(audio="source", rate_hz=rate, channels=wanted_channels)


def missing_source(crate: Crate) -> str:
    """What is said of the first source that cannot be read where the plan has it; a few shards are looked at, a track
    each."""
    count = len(crate.shards)
    for index in sorted({k * count // min(count, _LOOKED_AT) for k in range(min(count, _LOOKED_AT))}):
        for track in crate.plan(index).tracks[:1]:
            try:
                with fetched(track.path):
                    pass
            except DecodeFailure as failure:
                return f"source {track.key} is not there ({failure.detail}; looked for at {track.path})"
    return ""
