"""How well a model folder labels pieces of a soundfont, rooms and mixes that it was never trained on.

B windows, C captions, D embedding, K classes. Beside every figure stand chance, the same with the audio shuffled among
the windows, and a plain classifier trained on mel statistics of the training pieces.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.recipe.composing.compose import compose
from labeling.recipe.composing.describe import describe
from labeling.recipe.composing.instruments import LEADS
from labeling.recipe.judging.controls import FactScores, choose_class, mel_statistics
from labeling.recipe.judging.facts import judge_facts
from labeling.recipe.training.captions import Caption, write_caption
from labeling.recipe.training.data import Shards, piece_seed
from vocab.grammar.lexicon import FAMILIES, FAMILY_OF, STYLES, WORDS, group_of

__all__ = ["TASKS", "Figures", "Task", "Towers", "drawn_captions", "evaluate", "own_captions", "retrieval", "zero_shot"]

Array = NDArray[np.float32]
_TEMPLATES = ("{}", "{} music", "a piece with {}", "this is a track featuring {}", "a recording, {}")
_POOL = 3000
_CANDIDATES, _DRAWN = 10, 3


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question with one answer per window: the classes, and the window's own (None where it does not apply)."""

    name: str
    classes: tuple[str, ...]
    """Facts."""
    answer: Callable[[frozenset[str]], str | None]


def _one_of(classes: tuple[str, ...]) -> Callable[[frozenset[str]], str | None]:
    def answer(facts: frozenset[str]) -> str | None:
        held = [c for c in classes if c in facts]
        return held[0] if len(held) == 1 else None

    return answer


_RENDERED = tuple(f"lead:{name}" for name in LEADS if name != "singer")
"""The singer is the same synthesiser in training and test, so it would flatter the figure."""
_LEAD_FAMILIES = tuple(f"family:{f}" for f in FAMILIES if f != "bass")


def _if_solo(answer: Callable[[frozenset[str]], str | None]) -> Callable[[frozenset[str]], str | None]:
    return lambda facts: answer(facts) if "ensemble:solo" in facts else None


def _lead_family(facts: frozenset[str]) -> str | None:
    lead = _one_of(_RENDERED)(facts)
    return f"family:{FAMILY_OF[lead.partition(':')[2]]}" if lead else None


def _task(name: str, *classes: str) -> Task:
    return Task(name=name, classes=classes, answer=_one_of(classes))


TASKS: tuple[Task, ...] = (
    _task("style", *(f"style:{s}" for s in STYLES)),
    Task(name="solo family", classes=_LEAD_FAMILIES, answer=_if_solo(_lead_family)),
    Task(name="lead family", classes=_LEAD_FAMILIES, answer=_lead_family),
    Task(name="solo instrument", classes=_RENDERED, answer=_if_solo(_one_of(_RENDERED))),
    Task(name="lead instrument", classes=_RENDERED, answer=_one_of(_RENDERED)),
    _task("drums", "drums:yes", "drums:no"),
    _task("kit", "kit:acoustic", "kit:electronic"),
    _task("energy", "energy:calm", "energy:high"),
    _task("density", "density:sparse", "density:busy"),
    _task("register", "register:low", "register:high"),
    _task("tempo", "tempo:slow", "tempo:medium", "tempo:fast"),
    _task("ensemble", "ensemble:solo", "ensemble:group"),
    _task("genre", "genre:electronic", "genre:classical", "genre:folk"),
    _task("mood", *(f for f in WORDS if group_of(f) == "mood")),
    _task("non-music", *(f for f in WORDS if group_of(f) == "sound" and f != "sound:non-music"), "voice:spoken"),
)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One task or measure."""

    name: str
    classes: int
    windows: int
    chance: float
    result: float
    shuffled: float
    """The same with the audio shuffled among the windows."""
    plain: float | None = None
    """Of logistic regressions on the mean and deviation of each mel band, trained on training pieces."""


class Towers:
    """A ClapModel folder's two towers on stored mels and on texts, as `transformers` loads it."""

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        import torch
        from transformers import ClapModel, ClapProcessor

        torch.set_num_threads(threads)
        self._torch = torch
        self.model = ClapModel.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = ClapProcessor.from_pretrained(folder).tokenizer

    def audio(self, mels_BFM: Array) -> Array:
        """[B, D], normalised."""
        with self._torch.inference_mode():
            blocks = [
                self.model.get_audio_features(self._torch.from_numpy(mels_BFM[i : i + 50])[:, None]).pooler_output
                for i in range(0, len(mels_BFM), 50)
            ]
        out: Array = self._torch.cat(blocks).numpy()
        return out

    def text(self, texts: Sequence[str]) -> Array:
        """[C, D], normalised."""
        blocks = []
        with self._torch.inference_mode():
            for i in range(0, len(texts), 256):
                tokens = self.tokenizer(
                    list(texts[i : i + 256]), padding=True, truncation=True, max_length=64, return_tensors="pt"
                )
                blocks.append(self.model.get_text_features(**tokens).pooler_output)
        out: Array = self._torch.cat(blocks).numpy()
        return out


def _class_vectors(towers: Towers, classes: tuple[str, ...]) -> Array:
    """[K, D]: the mean direction of all phrases of a fact in all templates."""
    rows = []
    for fact in classes:
        mean = towers.text([t.format(phrase) for phrase in WORDS[fact] for t in _TEMPLATES]).mean(0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def zero_shot(
    task: Task, windows_BD: Array, class_KD: Array, facts: Sequence[frozenset[str]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(rows it applies to, true class, class chosen)."""
    answers = [task.answer(f) for f in facts]
    rows = np.array([i for i, a in enumerate(answers) if a is not None], dtype=np.int64)
    truth = np.array([task.classes.index(a) for a in answers if a is not None], dtype=np.int64)
    chosen = (windows_BD[rows] @ class_KD.T).argmax(1) if rows.size else np.zeros(0, np.int64)
    return rows, truth, chosen


def own_captions(facts: Sequence[frozenset[str]], seed: int) -> list[Caption]:
    """One of four to seven facts for each window."""
    rng = random.Random(seed)
    return [write_caption(f, rng, count=rng.randint(4, 7), plain=True) for f in facts]


def retrieval(similarity_CB: Array, *, at: int = 10) -> float:
    """Share of captions whose own window, which has the same row, is among their `at` nearest."""
    own = np.diag(similarity_CB)[:, None]
    return float(((similarity_CB > own).sum(1) < at).mean())


def caption_pool(seed: int, size: int = _POOL) -> list[Caption]:
    """Different captions of pieces that are in no split: a vocabulary to label with."""
    rng = random.Random(seed)
    pool: dict[str, Caption] = {}
    index = 0
    while len(pool) < size:
        facts = describe(compose(piece_seed("pool", seed, index), 4.0))
        for _ in range(4):
            caption = write_caption(facts, rng, plain=True)
            pool.setdefault(caption.text, caption)
        index += 1
    return list(pool.values())[:size]


def drawn_captions(similarity_BC: Array, seed: int) -> NDArray[np.int64]:
    """[B, 3] captions drawn from each window's ten best with probability 1/count (PAPER 3.6)."""
    top_BK = np.argsort(-similarity_BC, axis=1, kind="stable")[:, :_CANDIDATES]
    counts = np.bincount(top_BK.ravel(), minlength=similarity_BC.shape[1])
    rng = np.random.default_rng(seed)
    keys = rng.random(top_BK.shape) ** counts[top_BK]  # the largest of u^(1/w), w = 1/count
    picked = np.argsort(-keys, axis=1)[:, :_DRAWN]
    return np.take_along_axis(top_BK, picked, axis=1)


def _true_facts(drawn: NDArray[np.int64], pool: list[Caption], facts: Sequence[frozenset[str]]) -> tuple[float, float]:
    """(true facts a caption, share of decided facts that are true)."""
    true = decided = 0
    for held, row in zip(facts, drawn, strict=True):
        for c in row:
            verdict = judge_facts(pool[c].facts, held)
            true += len(verdict.true)
            decided += verdict.decided
    return true / drawn.size, true / max(decided, 1)


def _accuracy(truth: NDArray[np.int64], chosen: NDArray[np.int64]) -> float:
    return float((truth == chosen).mean()) if truth.size else float("nan")


def evaluate(
    model: Path, test: Path, *, train: Path | None = None, limit: int = 0, seed: int = 0, plain_windows: int = 4000
) -> list[Figures]:
    """All figures of one model on one test folder. `train` serves the plain classifier and the hub calibration."""
    towers, shards = Towers(model), Shards(test)
    count = min(limit or len(shards), len(shards))
    mels = shards.mels(range(count))
    facts = [frozenset(f) for f in shards.facts[:count]]
    windows_BD = towers.audio(mels)
    shuffle = np.random.default_rng(seed).permutation(count)
    statistics, calibration, known = mel_statistics(mels), windows_BD, None
    if train is not None:
        pieces = Shards(train)
        picks = np.random.default_rng(1).choice(len(pieces), size=min(plain_windows, len(pieces)), replace=False)
        train_X = np.concatenate([mel_statistics(pieces.mels(picks[i : i + 500])) for i in range(0, len(picks), 500)])
        known = train_X, [frozenset(pieces.facts[i]) for i in picks]
        calibration = towers.audio(pieces.mels(picks[:600]))
    figures = []
    for task in TASKS:
        class_KD = _class_vectors(towers, task.classes)
        rows, truth, chosen = zero_shot(task, windows_BD, class_KD, facts)
        _, _, blind = zero_shot(task, windows_BD[shuffle], class_KD, facts)
        plain = None
        if known is not None:
            plain = choose_class(known[0], [task.answer(f) for f in known[1]], task.classes, statistics)
        figures.append(
            Figures(
                name=task.name,
                classes=len(task.classes),
                windows=len(rows),
                chance=1 / len(task.classes),
                result=_accuracy(truth, chosen),
                shuffled=_accuracy(truth, blind),
                plain=_accuracy(truth, plain[rows]) if plain is not None else None,
            )
        )
    scores = FactScores(*known, statistics) if known is not None else None
    return [
        *figures,
        _retrieval_figure(towers, windows_BD, shuffle, scores, facts, seed),
        *_caption_figures(towers, windows_BD, shuffle, calibration, scores, facts, seed),
    ]


def _retrieval_figure(
    towers: Towers,
    windows_BD: Array,
    shuffle: NDArray[np.int64],
    scores: FactScores | None,
    facts: Sequence[frozenset[str]],
    seed: int,
) -> Figures:
    captions = own_captions(facts, seed)
    similarity_CB = towers.text([c.text for c in captions]) @ windows_BD.T
    return Figures(
        name="text to audio R@10",
        classes=0,
        windows=len(facts),
        chance=10 / len(facts),
        result=retrieval(similarity_CB),
        shuffled=retrieval(similarity_CB[:, shuffle]),
        plain=retrieval(scores.of(captions)) if scores else None,
    )


def _caption_figures(
    towers: Towers,
    windows_BD: Array,
    shuffle: NDArray[np.int64],
    calibration_BD: Array,
    scores: FactScores | None,
    facts: Sequence[frozenset[str]],
    seed: int,
) -> list[Figures]:
    """True facts in three drawn captions, without and with hub correction, against captions drawn at random."""
    pool = caption_pool(seed)
    captions_CD = towers.text([c.text for c in pool])
    hub_C = (calibration_BD @ captions_CD.T).mean(0)
    by_chance = np.random.default_rng(seed).integers(len(pool), size=(len(facts), _DRAWN))
    at_random = _true_facts(by_chance, pool, facts)
    out = []
    for name, correction in (("", 0.0), (", hub-corrected", hub_C)):
        real = _true_facts(drawn_captions(windows_BD @ captions_CD.T - correction, seed), pool, facts)
        blind = _true_facts(drawn_captions(windows_BD[shuffle] @ captions_CD.T - correction, seed), pool, facts)
        plain = None
        if scores is not None:
            plain = _true_facts(drawn_captions(scores.of(pool, surprise=bool(name)).T, seed), pool, facts)
        for i, measure in enumerate(("true facts a drawn caption", "share of stated facts true")):
            out.append(
                Figures(
                    name=measure + name,
                    classes=0,
                    windows=len(facts),
                    chance=at_random[i],
                    result=real[i],
                    shuffled=blind[i],
                    plain=plain[i] if plain else None,
                )
            )
    return out


def as_table(runs: Sequence[Sequence[Figures]]) -> str:
    """Markdown, mean over runs, with the spread where there are several."""
    lines = [
        "| | classes | windows | chance | mel statistics | shuffled audio | result |",
        "|---|---|---|---|---|---|---|",
    ]
    for same in zip(*runs, strict=True):
        results = [f.result for f in same]
        spread = f" ({min(results):.3f} to {max(results):.3f})" if len(runs) > 1 else ""
        plains = [f.plain for f in same if f.plain is not None]
        lines.append(
            f"| {same[0].name} | {same[0].classes or ''} | {sum(f.windows for f in same)} | "
            f"{np.mean([f.chance for f in same]):.3f} | {f'{np.mean(plains):.3f}' if plains else ''} | "
            f"{np.mean([f.shuffled for f in same]):.3f} | {np.mean(results):.3f}{spread} |"
        )
    return "\n".join(lines)


def as_json(runs: Sequence[Sequence[Figures]]) -> str:
    """For files."""
    return json.dumps([[asdict(f) for f in run] for run in runs], indent=1)
