"""The sound of some of a crate's clips, for comparing: only row groups that hold one of them are read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.audio.flac import decode_flac, to_int16
from pipeline.crate.crate import Crate
from pipeline.crate.schema import audio_columns
from pipeline.curation.likeness.fingerprint import RATE_HZ, Fingerprint, fingerprint
from pipeline.curation.likeness.wave import WAVE_HZ
from pipeline.parquet import parquet_file

__all__ = ["at_rate", "clip_fingerprints", "clip_waves"]


def clip_fingerprints(
    crate: Crate, clips: Collection[str] | None, *, on_shard: Callable[[int], None] = lambda _: None
) -> Iterator[tuple[str, Fingerprint, str]]:
    """(clip_id, fingerprint, hash of the samples) of the clips named, or of all, in the crate's order.

    The hash is of the samples as the crate holds them: equal for two files that decode to the same sound.
    """
    for clip, samples_T, rate_hz in _samples(crate, clips, on_shard):
        digest = hashlib.blake2b(to_int16(samples_T).tobytes(), digest_size=16).hexdigest()
        yield clip, fingerprint(at_rate(samples_T, rate_hz)), digest


def clip_waves(crate: Crate, clips: Collection[str]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """(clip_id, samples at 4 kHz) of the clips named."""
    for clip, samples_T, rate_hz in _samples(crate, clips, lambda _: None):
        yield clip, at_rate(samples_T, rate_hz, WAVE_HZ)


def _samples(
    crate: Crate, clips: Collection[str] | None, on_shard: Callable[[int], None]
) -> Iterator[tuple[str, NDArray[np.float32], int]]:
    rates = audio_columns(crate.config)
    column = min(rates, key=lambda name: (rates[name] < RATE_HZ, abs(rates[name] - RATE_HZ)))
    wanted = None if clips is None else pa.array(sorted(clips), pa.string())
    for index in crate.shards:
        with crate.storage.open(crate.clips_part(index)) as file:
            parquet = parquet_file(file)
            for group in range(parquet.num_row_groups):
                ids = parquet.read_row_group(group, columns=["clip_id"], use_threads=False).column(0)
                chosen = np.arange(len(ids)) if wanted is None else np.flatnonzero(pc.is_in(ids, wanted).to_numpy())
                if not len(chosen):
                    continue
                audio = (
                    parquet.read_row_group(group, columns=[f"{column}.bytes"], use_threads=False)
                    .column(0)
                    .combine_chunks()
                )
                for row in chosen:
                    samples_T, rate = decode_flac(audio.field("bytes")[int(row)].as_py())
                    yield ids[int(row)].as_py(), samples_T, rate
        on_shard(index)


def at_rate(samples_T: NDArray[np.float32], rate_hz: int, wanted_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """Resampled, by default to what fingerprints are made of."""
    if rate_hz == wanted_hz:
        return samples_T
    import soxr

    return np.asarray(soxr.resample(samples_T, rate_hz, wanted_hz, quality="HQ"), np.float32)
