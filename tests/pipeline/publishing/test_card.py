"""What lies beside a crate for those who find it."""

import csv
import json

import pytest

from cratedig.main import main
from pipeline.crate.crate import Crate
from pipeline.publishing.card import write_card
from pipeline.publishing.datasheet import DATASHEET
from tests.audio_files import chord, write_audio
from tests.diffusion.crates import make_crate

SPELLINGS = {
    "CC-BY-4.0": ["CC BY 4.0", "cc-by-4.0", "http://creativecommons.org/licenses/by/4.0/",
                  "Creative Commons Attribution 4.0 International", "CC_BY_4.0", "https://creativecommons.org/licenses/by/4.0/deed.en"],
    "CC0-1.0": ["CC0", "CC0 1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/"],
    "other: all rights reserved | mine": ["all rights reserved | mine"],
    "unknown": ["", "  "],
}  # fmt: skip
GIVEN = [text for texts in SPELLINGS.values() for text in texts]


@pytest.fixture
def root(tmp_path):
    """Twelve tracks of two clips, each with another spelling of its licence."""

    def about(clip):
        track = clip // 2
        return {"licence": GIVEN[track], "title": f'=Song, "{track}"', "artist": "Ann", "source_key": f"a/{track}.mp3"}

    return make_crate(tmp_path / "crate", shards=3, tracks=4, clips=2, clip_s=0.2, about=about, labels=None)


def test_licences_in_twelve_spellings_are_counted_and_kept(root):
    write_card(Crate.open(root))
    card = (root / "README.md").read_text()
    for name, texts in SPELLINGS.items():
        assert f"| {name.replace('|', '/')} | {2 * len(texts)} |" in card
    rows = list(csv.DictReader((root / "ATTRIBUTION.csv").open(newline="")))
    assert [row["licence"] for row in rows] == GIVEN
    assert [row["spdx"] for row in rows] == ["CC-BY-4.0"] * 6 + ["CC0-1.0"] * 3 + ["other"] + ["unknown"] * 2
    assert rows[3]["title"] == '\'=Song, "3"'
    assert rows[3]["source"] == "a/3.mp3"


def test_the_hub_reads_the_card(root):
    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    yaml = pytest.importorskip("yaml", reason="comes with datasets")
    write_card(Crate.open(root))
    front = yaml.safe_load((root / "README.md").read_text().split("---")[1])
    assert front["license"] == "other"
    assert front["annotations_creators"] == ["machine-generated"]
    assert front["language"] == ["en"]
    assert front["size_categories"] == ["n<1K"]
    assert front["dataset_info"][0]["splits"][0]["name"] == "train"
    loaded = datasets.load_dataset(str(root), split="train", cache_dir=str(root.parent / "cache"))
    assert loaded.num_rows == 24


def test_a_datasheet_that_somebody_filled_in_is_left_alone(root):
    write_card(Crate.open(root))
    text = (root / DATASHEET).read_text()
    assert text.count("TODO") >= 8
    (root / DATASHEET).write_text("mine")
    write_card(Crate.open(root))
    assert (root / DATASHEET).read_text() == "mine"


def test_croissant_names_the_rows(root):
    write_card(Crate.open(root))
    said = json.loads((root / "croissant.json").read_text())
    assert said["license"] == ["https://spdx.org/licenses/CC-BY-4.0.html", "https://spdx.org/licenses/CC0-1.0.html"]
    (files,) = [part for part in said["distribution"] if part["@type"] == "cr:FileSet"]
    assert len(list(root.glob(files["includes"]))) == 3
    first = {name: (root / name).read_bytes() for name in ("croissant.json", "README.md", "ATTRIBUTION.csv")}
    write_card(Crate.open(root))
    assert {name: (root / name).read_bytes() for name in first} == first


def test_the_card_follows_clips_that_come_later(tmp_path, tiny_clap):
    datasets = pytest.importorskip("datasets", reason="needs the datasets library")
    music, crate = tmp_path / "music", str(tmp_path / "crate")
    for number in range(2):
        music.mkdir(exist_ok=True)
        write_audio(music / f"song{number}.wav", chord(5.0, 44_100, seed=number), 44_100, "wav-s16")
        plan = ["plan", str(music), "--out", crate, "--embedder", str(tiny_clap), "--clip-seconds", "2"]
        assert main(plan) == 0
        assert main(["clips", crate, "--workers", "1", "--max-reject-share", "1"]) == 0
        if number == 0:
            write_card(Crate.open(crate))
    loaded = datasets.load_dataset(crate, split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.num_rows == 4


def test_what_only_the_publisher_knows_stays_when_the_card_is_written_again(root, capsys):
    write_card(Crate.open(root))
    assert "datePublished" not in json.loads((root / "croissant.json").read_text())
    assert main(["card", str(root), "--published", "26.11.2026"]) == 2
    assert "expected a day such as 2026-11-26" in capsys.readouterr().err
    assert main(["card", str(root), "--contact", "removals@example.org"]) == 0
    assert main(["card", str(root), "--published", "2026-11-26"]) == 0
    assert "contact removals@example.org, published 2026-11-26" in capsys.readouterr().out
    sheet = (root / DATASHEET).read_text()
    assert "whom to ask: removals@example.org" in sheet
    (root / DATASHEET).write_text(sheet.replace("removals@example.org", "Ann, in person"))
    write_card(Crate.open(root))
    assert "whom to ask: Ann, in person" in (root / DATASHEET).read_text(), "filled in by hand"
    assert "To have a track removed, ask removals@example.org." in (root / "README.md").read_text()
    assert json.loads((root / "croissant.json").read_text())["datePublished"] == "2026-11-26"
