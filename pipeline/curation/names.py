"""Names as keys: which two spellings are one artist, one album, one title."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Mapping
from typing import Any

__all__ = ["album_key", "artist_keys", "plain", "title_key"]

_NOBODY = {
    "", "various", "various artists", "va", "v a", "unknown", "unknown artist", "artist", "no artist", "none", "n a",
    "anonymous", "traditional", "untitled", "unknown album", "soundtrack", "ost",
}  # fmt: skip
_BETWEEN = re.compile(
    r"\s*(?:[;,/|&+]|\b(?:feat|ft|featuring|vs)\b\.?)\s*",
    re.IGNORECASE,
)
"""What stands between two artists in one name."""


def plain(text: str) -> str:
    """Letters and digits of a name: NFKC, no accents, no case, one space between, `&` as `and`, no `the` first."""
    decomposed = unicodedata.normalize("NFKD", text.replace("&", " and "))
    bare = "".join(mark for mark in decomposed if not unicodedata.combining(mark)).casefold()
    words = re.sub(r"[\W_]+", " ", bare.replace("'", "").replace("\u2019", "")).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] == "the" else words)


def artist_keys(text: str) -> frozenset[str]:
    """Every artist that a credit names, and the credit as a whole: `Ann & The Bobs feat. Cy` has four keys.

    A duo with `&` in its name is also its parts: that ties two artists too many rather than leaving one on two sides.
    Names that stand for nobody (`Various Artists`, `unknown`) give no key.
    """
    found = {plain(part) for part in (text, *_BETWEEN.split(text))}
    return frozenset(key for key in found if key not in _NOBODY and (len(key) > 1 or key == plain(text)))


def album_key(row: Mapping[str, Any]) -> str:
    """Of a clip's row: album and whose it is (album artist, else artist); empty where no album is named.

    Without either artist it is the folder that tells two albums of one name apart.
    """
    album = plain(row.get("album") or "")
    if album in _NOBODY:
        return ""
    extra = {pair["name"]: pair["value"] for pair in row.get("extra") or ()}
    whose = plain(extra.get("album_artist", "")) or plain(row.get("artist") or "")
    return f"{album}|{whose or posixpath.dirname(row.get('source_key') or '')}"


def title_key(title: str) -> str:
    """Of a recording's title, without what is said in brackets of its edition: `Song (2011 Remaster)` is `song`."""
    edition = (
        r"\s*[(\[][^)\]]*\b(?:remaster(?:ed)?|mono|stereo|deluxe|bonus|explicit|clean|album version)\b[^)\]]*[)\]]"
    )
    return plain(re.sub(edition, "", title, flags=re.IGNORECASE)) or plain(title)
