"""FLAC as it lies in audio columns."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from pipeline.audio.flac import decode_flac, encode_flac, to_int16
from pipeline.errors import BadInput
from tests.audio_files import tone


def test_sixteen_bit_audio_comes_back_bit_by_bit() -> None:
    every_T = np.arange(-32768, 32768).astype(np.float32) / 32768
    samples_T, rate = decode_flac(encode_flac(every_T, 16_000))
    assert rate == 16_000
    assert samples_T.dtype == np.float32
    np.testing.assert_array_equal(samples_T, every_T)


def test_rounds_to_the_nearest_step_and_keeps_within_range() -> None:
    steps = np.array([1.0, -1.0, 0.4, 0.6, 0.5, 1.5, -0.5, 40_000, -40_000], np.float32)
    steps[:2] *= 32768
    assert to_int16(steps / 32768).tolist() == [32767, -32768, 0, 1, 0, 2, 0, 32767, -32768]


def test_the_same_samples_give_the_same_bytes_and_another_decoder_reads_them() -> None:
    samples_T = tone(1.5, 24_000)[0]
    data = encode_flac(samples_T, 24_000)
    assert data == encode_flac(samples_T.copy(), 24_000)
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert (stream.rate, stream.channels, stream.format.name) == (24_000, 1, "s16")
        assert sum(frame.samples for frame in container.decode(stream)) == 36_000


def test_what_is_not_flac_is_named() -> None:
    with pytest.raises(BadInput, match="4 bytes of an audio column are not FLAC"):
        decode_flac(b"nope")
