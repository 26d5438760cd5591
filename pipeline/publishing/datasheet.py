"""DATASHEET.md: questions of "Datasheets for Datasets" (Gebru et al., 2021), answered where cratedig knows; the rest
are blanks that say so."""

from __future__ import annotations

__all__ = ["DATASHEET", "datasheet", "with_contact"]

DATASHEET = "DATASHEET.md"
_BLANK = "TODO: not known to cratedig; only you can say."
_SECTIONS = (
    (
        "Motivation",
        (
            ("For what purpose was the dataset created?", ""),
            ("Who created it, on behalf of whom, and who paid for it?", ""),
        ),
    ),
    (
        "Composition",
        (
            ("What do the instances represent, and how many are there?",
             "Clips of music tracks; README.md has counts."),
            ("Is any information missing?", "Fields that neither a list nor a file gave are empty. README.md says what "
             "was left out and why, rejects/ has each case."),
            ("Are relationships between instances made explicit?",
             "Clips name their track (`track_id`); doubles are grouped where `cratedig dedup` was run."),
            ("Are there recommended splits?", "Those in splits/, where `cratedig split` was run."),
            ("Are there errors, noise or redundancies?",
             "Captions are retrieved by a model and not checked by people."),
            ("Does it contain data that is confidential, offensive, or about people?", ""),
        ),
    ),
    (
        "Collection",
        (
            ("How was the data acquired, and over what time?", ""),
            ("Who was involved, and were the artists told and asked?", ""),
            ("Under which licences do the tracks stand?", "ATTRIBUTION.csv, by track, as they were given and as SPDX."),
        ),
    ),
    (
        "Preprocessing",
        (
            ("What was done to the data?", "Decoded, mixed to mono (`audio` of a crate mined with --stereo keeps "
             "two channels), cut, resampled, judged, embedded, captioned; crate.json has every setting."),
            ("Is the raw data kept?", "Not in this folder; `source_sha256` names each file's bytes."),
            ("Is the software available?", "cratedig, Apache-2.0."),
        ),
    ),
    ("Uses", (("What has it been used for?", ""), ("What should it not be used for?", ""))),
    (
        "Distribution",
        (("How, when and under what terms is it distributed?", ""), ("Do third parties restrict it?", "")),
    ),
    (
        "Maintenance",
        (
            ("Who maintains it, and how can they be reached?", ""),
            ("How does somebody have a track removed?", f"`cratedig takedown` removes it; whom to ask: {_BLANK}"),
            ("Will it be updated?", ""),
        ),
    ),
)  # fmt: skip


def datasheet(contact: str = "") -> str:
    """No figure stands in it that a growing crate would make untrue. contact: whom to ask for a removal."""
    lines = ["# Datasheet", ""]
    for title, questions in _SECTIONS:
        lines += [f"## {title}", ""]
        for question, answer in questions:
            lines += [f"**{question}**", "", answer or _BLANK, ""]
    return with_contact("\n".join(lines), contact)


def with_contact(text: str, contact: str) -> str:
    """A datasheet in which nobody has filled in yet whom to ask, with that; any other as it is."""
    return text.replace(f"whom to ask: {_BLANK}", f"whom to ask: {contact}") if contact else text
