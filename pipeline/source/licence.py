"""Licences as people write them, as SPDX identifiers: one spelling to count, to filter by and to publish."""

from __future__ import annotations

import re

__all__ = ["forbids_commerce", "forbids_derivatives", "spdx"]

_EXACT = {
    name.lower(): name
    for name in (
        "0BSD Apache-2.0 BSD-2-Clause BSD-3-Clause CC-PDDC CC-PDM-1.0 CC0-1.0 EUPL-1.2 GFDL-1.3-or-later GPL-2.0-only "
        "GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later ISC LAL-1.2 LAL-1.3 MIT ODC-By-1.0 ODbL-1.0 PDDL-1.0 Unlicense "
        "CDLA-Permissive-2.0 CC-SA-1.0 C-UDA-1.0"
    ).split()
}
_NAMES = {
    "cc0": "CC0-1.0",
    "publicdomainzero": "CC0-1.0",
    "creativecommonszero": "CC0-1.0",
    "publicdomainmark": "CC-PDM-1.0",
    "freeartlicense13": "LAL-1.3",
    "apache20": "Apache-2.0",
}
"""Letters and digits of a name alone -> its identifier."""
_PARTS = {
    "attribution": "by",
    "noncommercial": "nc",
    "non-commercial": "nc",
    "noderivatives": "nd",
    "noderivs": "nd",
    "no-derivatives": "nd",
    "no-derivs": "nd",
    "sharealike": "sa",
    "share-alike": "sa",
}
_VERSIONS = {"1.0", "2.0", "2.5", "3.0", "4.0"}
_KINDS = {("by",), ("by", "sa"), ("by", "nd"), ("by", "nc"), ("by", "nc", "sa"), ("by", "nc", "nd")}
_ORDER = ("by", "nc", "nd", "sa")


def spdx(text: str) -> str:
    """The SPDX identifier of a licence given by identifier, name or Creative Commons address; empty where it is none.

    A Creative Commons licence without its version is none: which one it is cannot be told.
    """
    plain = " ".join(text.split()).strip(" .")
    if plain.lower() in _EXACT:
        return _EXACT[plain.lower()]
    address = re.search(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+)(?:/(\d\.\d))?", plain.lower())
    if address:
        kind, version = address.group(1), address.group(2) or ""
        if kind in ("zero", "mark"):
            return "CC0-1.0" if kind == "zero" else "CC-PDM-1.0"
        return _creative_commons(kind.replace("+", "-").split("-"), version)
    letters = re.sub(r"[^a-z0-9]", "", plain.lower()).removesuffix("universal")
    for ending in ("", "10", "v10", "license", "licence"):
        if letters.endswith(ending) and (name := _NAMES.get(letters[: len(letters) - len(ending)])):
            return name
    return _named_creative_commons(plain.lower())


def forbids_commerce(identifier: str) -> bool:
    """Whether an SPDX identifier is of a licence for non-commercial use only."""
    return "-NC" in identifier


def forbids_derivatives(identifier: str) -> bool:
    """Whether an SPDX identifier is of a licence that allows no adapted works."""
    return "-ND" in identifier


def _named_creative_commons(text: str) -> str:
    """`CC BY-SA 4.0`, `cc-by-nc-3.0`, `Creative Commons Attribution-ShareAlike 4.0 International`, `(CC BY) 3.0`."""
    if not re.match(r"\W*(cc\b|cc[-_ ]?by|creative commons|creativecommons|attribution)", text):
        return ""
    version = re.search(r"(?<!\d)(\d\.\d)(?!\d)", text)
    words = text.replace("_", "-")
    for long, short in _PARTS.items():
        words = words.replace(long, short)
    words = words.replace("ccby", "cc by")
    return _creative_commons(
        re.findall(r"(?<![a-z])(by|nc|nd|sa)(?![a-z])", words), version.group(1) if version else ""
    )


def _creative_commons(parts: list[str], version: str) -> str:
    kind = tuple(part for part in _ORDER if part in parts)
    if kind not in _KINDS or version not in _VERSIONS or not set(parts) <= set(_ORDER):
        return ""
    return f"CC-{'-'.join(kind).upper()}-{version}"
