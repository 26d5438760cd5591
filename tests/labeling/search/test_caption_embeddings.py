"""The matrix of a vocabulary's captions, wherever it lies."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
import pytest

from labeling.embedders.by_name import embedder_card
from labeling.search.caption_embeddings import load_embeddings
from pipeline.errors import IndexMismatch
from pipeline.storage import Storage


@pytest.mark.parametrize("block", [1_000, 1 << 20])
def test_on_a_store_a_large_matrix_is_mapped_from_a_copy(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.remote._BLOCK", block)
    storage, card = Storage(f"memory://{uuid.uuid4().hex}"), replace(embedder_card("bundled"), dimension=16)
    rows_ND = np.random.default_rng(0).standard_normal((50, 16), dtype=np.float32)
    with storage.write("captions.npy") as file:
        np.lib.format.write_array(file, rows_ND, allow_pickle=False)
    found_ND = load_embeddings(storage, "captions.npy", card)
    assert isinstance(found_ND, np.memmap) == (block == 1_000)
    np.testing.assert_array_equal(found_ND, rows_ND)
    found_ND[0] = 0  # as torch may: the file stays as it is
    np.testing.assert_array_equal(load_embeddings(storage, "captions.npy", card), rows_ND)
    with pytest.raises(IndexMismatch, match="makes 32-d ones"):
        load_embeddings(storage, "captions.npy", replace(card, dimension=32))
