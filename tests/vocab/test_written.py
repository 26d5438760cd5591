"""The bundled sentences of a language model: what is shipped is what the files say, and each says what its plan has."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from labeling.profiles import PROFILES, resolve_vocabularies
from pipeline.errors import VocabularyProblem
from vocab.grammar.lexicon import group_of, stated_facts, with_implied
from vocab.store import BUNDLED_FOLDER, open_vocabulary
from vocab.written import write_written, written_sentences


def test_the_vocabulary_is_made_of_the_files(tmp_path: Path) -> None:
    card = write_written(tmp_path / "written.parquet")
    assert card.content_hash == open_vocabulary("bundled:written").card.content_hash
    made, bundled = (pq.read_table(folder / "written.parquet") for folder in (tmp_path, BUNDLED_FOLDER))
    assert made.equals(bundled, check_metadata=True)  # the bytes are those of one version of pyarrow
    assert card.captions == card.yields["written"]["kept"] > 1000


def test_every_sentence_has_a_plan_and_says_nothing_against_it() -> None:
    for written in written_sentences():
        allowed = with_implied(stated_facts(written.plan))
        groups = {group_of(fact) for fact in allowed}
        assert len(allowed) >= 3, written.plan
        assert written.text[0].isupper(), written
        assert written.text[-1] in ".!", written
        assert all(fact in allowed or group_of(fact) not in groups for fact in written.facts), written


def test_a_slot_is_labelled_from_them_by_name() -> None:
    found = resolve_vocabularies(PROFILES["noise2music"], {"llm_lf": "bundled:written"})
    assert found["llm_lf"] == str(BUNDLED_FOLDER / "written.parquet")
    with pytest.raises(VocabularyProblem, match="there are bundled:long, bundled:short and bundled:written"):
        resolve_vocabularies(PROFILES["noise2music"], {"llm_lf": "bundled:wrong"})


def test_they_say_who_wrote_them_and_are_not_the_grammars() -> None:
    vocabulary = open_vocabulary("bundled:written")
    origin = json.loads(vocabulary.table.column("provenance")[0].as_py())
    assert origin["model"].startswith("a large language model")
    assert origin["tags"]
    assert vocabulary.card.source == "llm"
    assert not set(vocabulary.texts.to_pylist()) & set(open_vocabulary("bundled:long").texts.to_pylist())
    assert vocabulary.facts is not None
    assert pc.mean(pc.list_value_length(vocabulary.facts)).as_py() > 1.5
