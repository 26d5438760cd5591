"""Licences as people write them."""

from __future__ import annotations

import pytest

from pipeline.source.licence import forbids_commerce, forbids_derivatives, spdx


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("CC0", "CC0-1.0"),
        ("cc0 1.0 Universal", "CC0-1.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0", "CC-PDM-1.0"),
        ("cc-by 4.0", "CC-BY-4.0"),
        ("CC BY-SA 3.0", "CC-BY-SA-3.0"),
        ("ccby4.0", "CC-BY-4.0"),
        ("CC_BY_NC_4.0", "CC-BY-NC-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/3.0/", "CC-BY-NC-ND-3.0"),
        ("Attribution-NonCommercial-ShareAlike 4.0 International (CC BY-NC-SA 4.0)", "CC-BY-NC-SA-4.0"),
        ("Creative Commons Attribution-ShareAlike 2.5", "CC-BY-SA-2.5"),
        ("apache-2.0", "Apache-2.0"),
        ("CC BY", ""),  # which version?
        ("CC BY-ND-SA 4.0", ""),  # there is none such
        ("All rights reserved", ""),
        ("played by ear 4.0", ""),
        ("", ""),
    ],
)
def test_one_spelling(given: str, expected: str) -> None:
    assert spdx(given) == expected
    assert spdx(spdx(given)) == expected


def test_what_a_licence_forbids() -> None:
    assert [forbids_commerce(name) for name in ("CC-BY-NC-4.0", "CC-BY-4.0", "")] == [True, False, False]
    assert [forbids_derivatives(name) for name in ("CC-BY-NC-ND-4.0", "CC-BY-NC-SA-4.0")] == [True, False]
