"""The page in a browser: it loads without a word on the console, plays, shows, and takes titles for what they are."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cratedig.main import main
from labeling.report import write_report
from pipeline.crate.crate import Crate
from tests.browser import Browser, browser_missing
from tests.labeling.report.report_crate import CLIP_S, TITLES, make_crate

pytestmark = pytest.mark.slow

_CLIPS = 8


@pytest.fixture(scope="module")
def crate(tmp_path_factory: pytest.TempPathFactory) -> Crate:
    return make_crate(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def page(crate: Crate) -> Path:
    return Path(write_report(crate, clips=_CLIPS))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if missing := browser_missing():
        pytest.skip(missing)
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_page_loads_and_fits(browser: Browser, page: Path, width: int, dark: bool) -> None:
    browser.screen(width, 900, dark=dark)
    browser.open(page)
    assert browser.messages() == []
    assert browser.run("return document.documentElement.scrollWidth") <= width
    wide = browser.run(
        "const loose = '.scroll, .list, svg, .hidden, thead, h3, .artist';"
        "return Array.from(document.querySelectorAll('body *')).filter(e => !e.closest(loose)"
        " && e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML.slice(0, 90))"
    )
    assert wide == []
    assert browser.run("return document.querySelectorAll('article').length") == _CLIPS
    pixels = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("L"))
    assert pixels.shape == (900, width)
    assert (np.median(pixels) < 60) == dark
    assert pixels.std() > 10  # something is on it


def test_every_player_has_its_clips_length_and_plays(browser: Browser, page: Path) -> None:
    browser.screen(1280, 900)
    browser.open(page)
    browser.until("Array.from(document.querySelectorAll('audio')).every(a => a.readyState >= 3)")
    found = browser.run(
        "return Array.from(document.querySelectorAll('audio')).map(a => [a.duration, a.readyState, a.error])"
    )
    assert len(found) == _CLIPS
    for duration, _, error in found:
        assert error is None
        assert duration == pytest.approx(CLIP_S, abs=0.1)
    browser.click(".mel-picture", 1)  # seeks to the middle and plays
    browser.until(f"document.querySelectorAll('audio')[1].currentTime > {CLIP_S / 2 + 0.2}")
    browser.until("parseFloat(document.querySelectorAll('.head')[1].style.left) > 52")
    browser.click(".mel-picture", 2)
    browser.until("document.querySelectorAll('audio')[1].paused")  # one at a time
    assert browser.messages() == []


def test_every_picture_is_there_and_said_in_words(browser: Browser, page: Path) -> None:
    browser.screen(1280, 900)
    browser.open(page)
    images = browser.run("return Array.from(document.images).map(i => [i.naturalWidth, i.naturalHeight, i.alt])")
    assert len(images) == _CLIPS
    assert all(width >= 600 and height == 96 and alt.startswith("Mel spectrogram of") for width, height, alt in images)
    charts = browser.run(
        "return Array.from(document.querySelectorAll('figure.chart > svg')).map(s => [s.getAttribute('role'), "
        "s.getAttribute('aria-label'), s.getBoundingClientRect().height])"
    )
    assert len(charts) == 4  # two slots, each with its ranks and its similarity
    assert all(role == "img" and said and height > 100 for role, said, height in charts)
    headings = browser.run("return Array.from(document.querySelectorAll('h1,h2,h3,h4')).map(h => +h.tagName[1])")
    assert headings[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(headings))


def test_titles_are_text_whatever_they_hold(browser: Browser, page: Path) -> None:
    browser.screen(400, 900)
    browser.open(page)
    assert browser.run("return window.hurt === undefined")
    assert browser.messages() == []
    shown = browser.run("return Array.from(document.querySelectorAll('article h3 bdi')).map(b => b.textContent)")
    assert set(shown) == {title or "song 6.mp3" for title in TITLES}
    assert browser.run("return document.scripts.length") == 1
    assert browser.run("return document.querySelectorAll('article u, article i:not(.ladder i), td b').length") == 0
    height = browser.run(
        "return Math.max(...Array.from(document.querySelectorAll('article h3')).map(h => h.offsetHeight))"
    )
    assert height < 60  # a very long title takes two lines
    browser.run(
        "const s = document.createElement('script'); s.textContent = 'window.hurt = 3'; document.body.append(s)"
    )
    assert browser.run("return window.hurt === undefined")  # the page's policy lets no other script run
    assert any("Content Security Policy" in message for message in browser.messages())


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
                self.found.append((value or "")[:40])


def test_page_is_one_file_of_bounded_size(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parser = _Addresses()
    parser.feed(text)
    assert all(re.match(r"#|data:(image/svg\+xml|image/png;base64|audio/mpeg;base64),", a) for a in parser.found)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert len(text) < 1_500_000  # 8 clips of 4 s
    assert "{{" not in text.replace("{{ 7 * 7 }}", "")  # that one is a title


def test_command_writes_and_says_where(crate: Crate, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", crate.storage.url, "--clips", "1"]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page.read_text(encoding="utf-8").count("<audio") == 1
    stats: Any = json.loads((page.parents[1] / "stats.json").read_text(encoding="utf-8"))
    assert stats["labels"]["name"].startswith("noise2music-")
    assert main(["report", crate.storage.url, "--labels", "gone"]) == 2
    assert "no label run 'gone'" in capsys.readouterr().err
    assert main(["report", crate.storage.url, "--vocab", "llm_lf"]) == 2
    assert "expected SLOT=FILE" in capsys.readouterr().err
