"""Captions of a batch as token ids and what each states, written in this process or, beside a GPU, by several others.

C captions (two a window), L tokens, N facts, B windows.
"""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.pool import AsyncResult
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.recipe.training.captions import write_caption
from labeling.recipe.training.model import multi_hot
from labeling.recipe.training.tokenizer import MAX_TOKENS, make_tokenizer
from labeling.recipe.training.vocabulary_texts import VocabularyTexts
from labeling.recipe.training.words import NEUTRAL_WORDS
from vocab.grammar.lexicon import FACTS

__all__ = ["CaptionWriters"]

_VOCABULARY_SHARE = 0.6
"""Of the second captions, how many are the vocabulary's own; the first is always written for the clip."""
_AHEAD = 4
"""Steps that each process writes ahead."""

Written = tuple[dict[str, torch.Tensor], torch.Tensor]
"""Token ids and their mask (C, L), and what is stated (C, N)."""


class _Writer:
    def __init__(self, unknown_share: float) -> None:
        self.tokenizer, self.unknown_share = make_tokenizer(), unknown_share
        self.index = {fact: i for i, fact in enumerate(FACTS)}
        self.vocabulary = VocabularyTexts()
        self.neutral = torch.tensor(sorted(set(self.tokenizer.convert_tokens_to_ids(list(NEUTRAL_WORDS)))))

    def write(self, facts: list[list[str]], has_BN: NDArray[np.float32], step_seed: int) -> Written:
        rng = random.Random(step_seed)
        captions = [write_caption(f, rng) for f in facts]
        for own, ready in zip(facts, self.vocabulary.for_clips(has_BN, rng), strict=True):
            captions.append(ready if ready.text and rng.random() < _VOCABULARY_SHARE else write_caption(own, rng))
        tokens = self.tokenizer(
            [c.text for c in captions], padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
        )
        hidden = torch.isin(tokens["input_ids"], self.neutral)
        hidden &= torch.rand(hidden.shape, generator=torch.Generator().manual_seed(step_seed)) < self.unknown_share
        tokens["input_ids"][hidden] = self.tokenizer.unk_token_id
        return dict(tokens), torch.from_numpy(multi_hot([list(c.facts) for c in captions], self.index))


_here: dict[str, _Writer] = {}


def _start(unknown_share: float) -> None:
    torch.set_num_threads(1)
    _here["writer"] = _Writer(unknown_share)


def _write(facts: list[list[str]], has_BN: NDArray[np.float32], step_seed: int) -> Any:
    tokens, stated_CN = _here["writer"].write(facts, has_BN, step_seed)
    return {k: v.numpy() for k, v in tokens.items()}, stated_CN.numpy()


class CaptionWriters:
    """`ask` for a step's captions, take the `answer` when the step comes; the same step gives the same captions."""

    def __init__(self, unknown_share: float, *, processes: int = 0) -> None:
        self.lead = processes * _AHEAD
        self._writer = None if processes else _Writer(unknown_share)
        spawn = multiprocessing.get_context("spawn")
        self._pool = spawn.Pool(processes, _start, (unknown_share,)) if processes else None

    def ask(self, facts: list[list[str]], has_BN: NDArray[np.float32], step_seed: int) -> Written | AsyncResult[Any]:
        if self._writer:
            return self._writer.write(facts, has_BN, step_seed)
        assert self._pool is not None
        return self._pool.apply_async(_write, (facts, has_BN, step_seed))

    def answer(self, asked: Written | AsyncResult[Any]) -> Written:
        if isinstance(asked, tuple):
            return asked
        tokens, stated_CN = asked.get()
        return {k: torch.from_numpy(v) for k, v in tokens.items()}, torch.from_numpy(stated_CN)

    def close(self) -> None:
        if self._pool:
            self._pool.terminate()
