"""The label runs of a grown crate, besides the one that was asked for: drawn again by the settings that they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from beam_jobs.engine import Engine
    from cratedig.view import JobView
    from pipeline.crate.crate import Crate

__all__ = ["label_the_others"]


def label_the_others(
    crate: Crate, done: str, vocabularies: Mapping[str, str], work: Engine, view: JobView, *, embedder: str, device: str
) -> list[str]:
    """Draw again every run but `done` that lacks a pour; the names of those that were. What cannot be is said.

    vocabularies: slot -> file, as given with this command; a run whose vocabulary is neither among them nor bundled
    stays as it is.
    """
    from beam_jobs.labels import label_crate
    from labeling.weak import said_of, weak_labels
    from pipeline.crate.crate import label_runs, read_run
    from pipeline.errors import BadInput, CrateMismatch

    drawn = []
    for name in label_runs(crate):
        said = read_run(crate, name)
        if name == done or said["covers"]["pours"] >= len(crate.pours):
            continue
        files = {slot: _file(about, vocabularies.get(slot, "")) for slot, about in said["slots"].items()}
        if lacking := [slot for slot, file in files.items() if not file]:
            about = said["slots"][lacking[0]]
            view.say(
                f"labels {name} stay as they are: their vocabulary {about['vocabulary']} for {lacking[0]} is not at "
                f"hand; cratedig label {crate.storage.url} --name {name} --vocab {lacking[0]}=FILE, with its settings"
            )
            continue
        try:
            run = label_crate(
                crate, **_settings(said), vocabularies=files, name=name, embedder=embedder, device=device, engine=work,
                stage=view.watch, note=view.say,
            )  # fmt: skip
            for line in said_of(crate, weak_labels(crate, run, embedder)):
                view.say(line)
            drawn.append(name)
        except (BadInput, CrateMismatch) as error:
            view.say(f"labels {name} stay as they are: {error}")
    return drawn


def _settings(said: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `label_crate`, from run.json."""
    slots = list(said["slots"].values())
    settings = {name: said[name] for name in ("profile", "seed", "method", "min_similarity")}
    if slots:
        debias = slots[0]["debias"]
        settings |= {
            "k": slots[0]["k"],
            "debias": debias if debias in ("none", "crate") else "model",
            "captions": "heard" if any(slot["heard"] for slot in slots) else "all",
            "search": "exact" if all(slot["search"] == "exact" for slot in slots) else "fast",
        }
    return settings


def _file(about: Mapping[str, Any], given: str) -> str:
    """The vocabulary that a slot was drawn from: the file given, or the bundled one, if it is that; else empty."""
    from vocab.store import BUNDLED, Vocabulary, vocabulary_file

    bundled = [f"bundled:{name}" for names in BUNDLED.values() for name in names]
    for file in map(vocabulary_file, filter(None, (given, *bundled))):
        if Vocabulary.load(file).card.content_hash == about["vocabulary_hash"]:
            return file
    return ""
