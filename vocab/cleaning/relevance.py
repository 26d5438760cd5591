"""Does a sentence describe music? A small classifier, as the paper filters its sentences (3.5; MuLan does the same).

Logistic regression over hashed words, word stems (the first five letters), pairs of stems, runs of word classes (`the
SUNG IS a STRUNG`), and how many words of music there are, trained on sentences labelled for this project
(`data/relevance_labels.csv`). About the sound is yes; about charts, people, releases and lyrics is no, also where they
are a musician's, and so is nonsense of the kinds that small language models write.
`python -m vocab.cleaning.relevance` trains it again and prints its held-out precision and recall.

S sentences, F features.
"""

from __future__ import annotations

import csv
import math
import zlib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.threads import one_blas_thread
from vocab.cleaning.word_classes import class_of
from vocab.cleaning.words_common import MUSIC_WORDS, tokenise

__all__ = ["THRESHOLD", "Relevance", "cross_validate", "labelled_sentences", "train"]

_DATA = Path(__file__).parent / "data"
_LABELS, _WEIGHTS = _DATA / "relevance_labels.csv", _DATA / "relevance.npy"
_HASHED, _CLASSED = 1 << 14, 1 << 13
_BUCKETS = 8
"""0, 1, 2, 3 and more words of music, and four shares of all words."""
_F = _HASHED + _CLASSED + _BUCKETS + 1
THRESHOLD = 0.18
"""Probability from which a sentence is kept; low, since a lost caption is dearer than a dull one."""


class Relevance:
    """The trained classifier; weights of words are looked up once and kept."""

    def __init__(self, weights_F: NDArray[np.float64]) -> None:
        self._weights = weights_F
        self._plain: list[float] = weights_F.tolist()
        self._words: dict[str, float] = {}
        self._pairs: dict[tuple[str, str], float] = {}

    @classmethod
    @cache
    def load(cls) -> Relevance:
        """The classifier that comes with cratedig."""
        return cls(np.load(_WEIGHTS, allow_pickle=False).astype(np.float64))

    def probability(self, sentence: str) -> float:
        """That the sentence describes music, in [0, 1]."""
        return self.of_words(tokenise(sentence.lower()))

    def of_words(self, words: Sequence[str]) -> float:
        """The same, of words in lower case as `tokenise` cuts them."""
        total, music, previous = 0.0, 0, ""
        for word in words:
            weight = self._words.get(word)
            if weight is None:
                weight = self._words[word] = float(self._weights[list(_word_features(word))].sum())
            total += weight
            music += word in MUSIC_WORDS
            stem = word[:5]
            pair = self._pairs.get((previous, stem))
            if pair is None:
                pair = self._pairs[previous, stem] = float(self._weights[_hash(f"{previous} {stem}")])
            total += pair
            previous = stem
        if len(self._pairs) > 2_000_000:
            self._pairs.clear()
        total += sum(self._plain[at] for at in _class_features(words))
        total = total / _scale(len(words)) + self._of_counts(len(words), music)
        return 1 / (1 + math.exp(-total))

    @lru_cache(maxsize=4096)  # noqa: B019  # there is one classifier in a process
    def _of_counts(self, words: int, music: int) -> float:
        return float(self._weights[list(_count_features(words, music))].sum())


def labelled_sentences() -> tuple[list[str], NDArray[np.int64]]:
    """The project's own labels: 1 where a sentence describes music."""
    with _LABELS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([int(row["describes_music"]) for row in rows])


@one_blas_thread()
def train(sentences: Sequence[str], labels_S: NDArray[np.int64]) -> NDArray[np.float64]:
    """(F,) weights of an L2-regularised logistic regression."""
    features_SF = np.stack([_features(sentence) for sentence in sentences])
    return features_SF.T @ _fit(features_SF @ features_SF.T, labels_S)


def _fit(kernel_SS: NDArray[np.float64], labels_S: NDArray[np.int64], *, penalty: float = 0.3) -> NDArray[np.float64]:
    """Newton's method in the space of the sentences: there are few of them and many features."""
    alpha_S = np.zeros(len(labels_S))
    for _ in range(30):
        probability_S = 1 / (1 + np.exp(-(kernel_SS @ alpha_S)))
        curvature_S = np.maximum(probability_S * (1 - probability_S), 1e-6)
        gradient_S = penalty * alpha_S - (labels_S - probability_S)
        step_S = np.linalg.solve(curvature_S[:, None] * kernel_SS + penalty * np.eye(len(labels_S)), gradient_S)
        alpha_S = alpha_S - step_S
        if float(np.abs(step_S).max()) < 1e-9:
            break
    return alpha_S


def cross_validate(folds: int = 10) -> tuple[float, float]:
    """Held-out precision and recall at THRESHOLD, over the project's labels."""
    sentences, labels_S = labelled_sentences()
    features_SF = np.stack([_features(sentence) for sentence in sentences])
    used_SF = features_SF[:, features_SF.any(axis=0)]
    kernel_SS = used_SF @ used_SF.T
    fold_S = np.array([zlib.crc32(sentence.encode()) % folds for sentence in sentences])
    score_S = np.zeros(len(sentences))
    for fold in range(folds):
        learnt, held = np.flatnonzero(fold_S != fold), np.flatnonzero(fold_S == fold)
        score_S[held] = kernel_SS[np.ix_(held, learnt)] @ _fit(kernel_SS[np.ix_(learnt, learnt)], labels_S[learnt])
    kept_S = 1 / (1 + np.exp(-score_S)) >= THRESHOLD
    right = int((kept_S & (labels_S == 1)).sum())
    return right / max(int(kept_S.sum()), 1), right / int((labels_S == 1).sum())


def _words(sentence: str) -> list[str]:
    return tokenise(sentence.lower())


def _hash(text: str) -> int:
    return zlib.crc32(text.encode()) % _HASHED


def _word_features(word: str) -> tuple[int, ...]:
    return _hash("w:" + word), _hash("s:" + word[:5])


def _scale(words: int) -> float:
    """A long sentence must not be sure of itself for its length alone."""
    return math.sqrt(max(words, 1))


def _count_features(words: int, music: int) -> tuple[int, ...]:
    share = music / max(words, 1)
    bucket = int(share > 0.1) + int(share > 0.25) + int(share > 0.4)
    start = _HASHED + _CLASSED
    return start + min(music, 3), start + 4 + bucket, _F - 1


def _features(sentence: str) -> NDArray[np.float64]:
    row_F = np.zeros(_F)
    words = _words(sentence)
    scale = _scale(len(words))
    previous = ""
    for word in words:
        for at in (*_word_features(word), _hash(f"{previous} {word[:5]}")):
            row_F[at] += 1 / scale
        previous = word[:5]
    for at in _count_features(len(words), sum(word in MUSIC_WORDS for word in words)):
        row_F[at] = 1.0
    for at in _class_features(words):
        row_F[at] += 1 / scale
    return row_F


def _class_features(words: Sequence[str]) -> Iterator[int]:
    """Pairs and triples of word classes: `the SUNG IS a STRUNG`."""
    classes = ["^", *(class_of(word) for word in words), "$"]
    for at in range(len(classes) - 1):
        yield _of_classes(tuple(classes[at : at + 2]))
        if at + 2 < len(classes):
            yield _of_classes(tuple(classes[at : at + 3]))


@cache
def _of_classes(classes: tuple[str, ...]) -> int:
    return _HASHED + zlib.crc32(" ".join(classes).encode()) % _CLASSED


if __name__ == "__main__":
    precision, recall = cross_validate()
    count = len(labelled_sentences()[0])
    print(f"held out, 10 folds of {count} sentences: precision {precision:.3f}, recall {recall:.3f}")
    np.save(_WEIGHTS, train(*labelled_sentences()).astype(np.float32), allow_pickle=False)
