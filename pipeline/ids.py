"""Identity and seeds: everything that is drawn or ordered derives from these hashes, never from `hash()`.

U a 64-bit id, B a batch of them.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "caption_id",
    "clip_id",
    "content_hash",
    "draw_uniform",
    "hash_u64",
    "normalise_caption",
    "sha256_of",
    "track_id",
]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def track_id(key: str) -> str:
    """Stable id of a track from its key: the path as listed, below the input's root, with forward slashes.

    Independent of content, so that a plan needs no reading; the content's own hash stands in each clip's row.
    """
    return "t" + hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=10).hexdigest()


def clip_id(track: str, start_s: float) -> str:
    """Id of the clip of `track` that begins at `start_s`: letters, digits, `-` and `_` only."""
    return f"{track}-{round(start_s * 1000):09d}"


def normalise_caption(text: str) -> str:
    """The form in which two captions count as the same: NFKC, one space between words, lower case."""
    return " ".join(unicodedata.normalize("NFKC", text).split()).casefold()


def caption_id(text: str) -> int:
    """64-bit id of a caption from its normalised text; written as 16 hex digits in files."""
    return hash_u64("caption", normalise_caption(text))


def hash_u64(*parts: str | int) -> int:
    """Stable 64-bit hash of a few strings and integers, each set apart from the next."""
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        data = str(part).encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(4, "little") + data)
    return int.from_bytes(digest.digest(), "big")


def content_hash(value: Any, *, digest_size: int = 8) -> str:
    """Hex hash of anything JSON can hold, independent of key order; tells one configuration from another."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=digest_size).hexdigest()


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64: every input bit moves every output bit."""
    x = (x ^ (x >> np.uint64(30))) * _MIX_1
    x = (x ^ (x >> np.uint64(27))) * _MIX_2
    return x ^ (x >> np.uint64(31))


def draw_uniform(seed: int, clip_B1: NDArray[np.uint64], caption_BK: NDArray[np.uint64]) -> NDArray[np.float64]:
    """A uniform number in (0, 1) for each (run seed, clip, caption), the same wherever and whenever it is asked.

    `clip_B1` and `caption_BK` are 64-bit ids that broadcast; the result has their joint shape.
    """
    with np.errstate(over="ignore"):
        start = np.full((1, 1), hash_u64("draw", seed), dtype=np.uint64)
        state = _mix(_mix(start + _GOLDEN + clip_B1) + _GOLDEN + caption_BK)
    return ((state >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def sha256_of(file: IO[bytes]) -> str:
    """Of what is left to read in it."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
