"""How the bundled model's captions fare on recorded music, judged by a tagger that knows nothing of this project.

    pip download --no-deps musicnn==0.1.0
    python -m benchmarks.real_music FOLDER ... --musicnn musicnn-0.1.0-py3-none-any.whl [--facts heard.json]

Two clips of 30 s of each track. For each fact that a caption states and that the tagger has tags for, the clip's rank
among all clips by those tags: the mean rank is an AUC, .5 is chance, and saying what is always true earns nothing.
Gain is (AUC - .5) x facts a caption. Intervals (90 %) come from drawing whole tracks anew; `shuffled` gives each clip
another clip's captions. Voices are left out of captions' facts: music without singing cannot judge them. A statement is
right where the clip's rank is .6 or more, wrong below .4; whether the fact's score tells the two apart is an AUC too,
and the chance that scoring.json makes of it is held against the share of statements with a rank above one half.
`--holds` fits its two numbers anew. `--facts` writes the AUC of each fact that reaches .6, but of voices and of tempo,
which is held against beats a minute: what `python -m labeling.recipe calibrate --hears` takes, after the same step
without it.
`--clips FILE` keeps what was measured of the clips, which takes nearly all of the time, and reads it where it lies.

B clips, K captions each, N captions, F facts.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.musicnn_tags import RATE_HZ, TAGS, Musicnn
from labeling.embedders.by_name import load_embedder
from labeling.embedders.embedder import Embedder
from labeling.embedders.scoring import Scoring, chance_to_hold, read_scoring
from labeling.evaluation.tag_facts import TAGGED_FACTS, fact_scores
from labeling.recipe.judging.calibrate import fact_direction
from labeling.recipe.training.recorded import recorded_clips
from labeling.search.exact import Captions, ExactSearch, Found
from labeling.search.some import SomeCaptions, SomeSearch, heard_rows
from labeling.search.stated import StatedCaptions, instrument_of, stated_table
from vocab.grammar.lexicon import WORDS, stated_facts
from vocab.store import Vocabulary, open_vocabulary

__all__ = ["main"]

_K = 10
_VOICES = {*(fact for fact in WORDS if fact.startswith("voice:")), "instrument:singer", "family:voice"}
_HEARD_AUC = 0.6
_RIGHT, _WRONG = 0.6, 0.4
"""Ranks from and below which a statement counts as right and as wrong."""
_BINS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--musicnn", type=Path, required=True, help="its wheel; nothing of it is installed")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--facts", type=Path, help="write the facts that are heard, with their AUC")
    parser.add_argument("--vocab", nargs="+", default=["bundled:long", "bundled:short"], help="a row or two of each")
    parser.add_argument("--holds", action="store_true", help="fit what turns a score into a chance")
    parser.add_argument("--clips", type=Path, help="a file for what was measured of the clips")
    args = parser.parse_args()
    embedder, tagger = load_embedder(args.model, device="cpu"), Musicnn(args.musicnn)
    tracks, clips, tags, tempi = _measured(args.clips, args.folders, embedder, tagger)
    by_tag = {name: dict(zip(TAGS[name], tags[name].T, strict=True)) for name in TAGS}
    facts, score_BF = fact_scores(by_tag)
    score_BF = score_BF[:, [facts.index(fact) for fact in TAGGED_FACTS]]
    rank_BF = (score_BF.argsort(0).argsort(0) + 0.5) / len(score_BF)
    print(f"{len(clips)} clips of {len(set(tracks))} tracks\n")
    print(
        "| captions | chosen | facts a caption | AUC | gain | shuffled AUC | different of all | largest hub |\n"
        + "|---" * 8
        + "|"
    )
    scoring = read_scoring(args.model, embedder.card.weights_hash)
    judged: dict[str, NDArray[np.float64]] = {}
    for name in args.vocab:
        vocabulary = open_vocabulary(name)
        captions_ND = embedder.embed_text(vocabulary.texts.to_pylist())
        plain = ExactSearch(captions_ND).top(clips, _K)
        _print_captions(vocabulary, "plain cosine, all captions", plain, rank_BF, tracks)
        if scoring:
            own, heard_BF = _own_way(scoring, vocabulary, captions_ND, clips), _heard(scoring, clips)
            judged[vocabulary.card.name] = _print_captions(
                vocabulary, "the model's own way", own, rank_BF, tracks, heard_BF
            )
    if judged:
        holds = _fitted(np.concatenate(list(judged.values()))) if args.holds else scoring.holds if scoring else None
        _print_scores(judged, holds)
    heard = _print_facts(embedder, scoring, clips, score_BF, tempi[:, 1])
    _print_tempo(embedder, clips, tempi)
    if args.facts:
        args.facts.write_text(json.dumps(heard, indent=1) + "\n", encoding="utf-8")
    return 0


def _measured(
    file: Path | None, folders: list[Path], embedder: Embedder, tagger: Musicnn
) -> tuple[list[str], NDArray[np.float32], dict[str, NDArray[np.float32]], NDArray[np.float64]]:
    """Of each clip its track, embedding, tags by tag set, and beats a minute with onsets a second."""
    if file is None or not file.exists():
        tracks, clips, tags, tempi = _measure(folders, embedder, tagger)
        by_set = {name: np.stack([t[name] for t in tags]) for name in TAGS}
        if file is None:
            return tracks, np.stack(clips), by_set, np.array(tempi)
        with file.open("wb") as out:
            np.savez(out, tracks=tracks, clips=np.stack(clips), tempi=tempi, **by_set)  # type: ignore[arg-type]  # its stub
    with np.load(file, allow_pickle=False) as found:
        return found["tracks"].tolist(), found["clips"], {name: found[name] for name in TAGS}, found["tempi"]


def _measure(
    folders: list[Path], embedder: Embedder, tagger: Musicnn
) -> tuple[list[str], list[NDArray[np.float32]], list[dict[str, NDArray[np.float32]]], list[tuple[float, float]]]:
    import soxr
    from librosa.beat import beat_track
    from librosa.onset import onset_detect, onset_strength

    rate = embedder.card.sample_rate_hz
    tracks, found, tags, tempi = [], [], [], []
    for folder in folders:
        for track, clip_T in recorded_clips(folder, rate):
            tracks.append(f"{folder}/{track}")
            found.append(embedder.embed_clips([clip_T])[0])
            tags.append(tagger.tag(soxr.resample(clip_T, rate, RATE_HZ)))
            onsets = onset_strength(y=clip_T, sr=rate)
            bpm = float(np.atleast_1d(beat_track(onset_envelope=onsets, sr=rate)[0])[0])
            tempi.append((bpm, len(onset_detect(onset_envelope=onsets, sr=rate)) / 30))
        print(f"{folder}: {len(found)} clips so far", file=sys.stderr, flush=True)
    return tracks, found, tags, tempi


def _own_way(
    scoring: Scoring, vocabulary: Vocabulary, captions_ND: NDArray[np.float32], clips_BD: NDArray[np.float32]
) -> Found:
    """What `label` finds with the model's own numbers, the clips being a crate."""
    rows_M = heard_rows(vocabulary, scoring.hears)
    captions: Captions = SomeCaptions(captions_ND, rows_M)
    if scoring.facts:
        stated_MP = stated_table(vocabulary, scoring.facts, rows_M)
        captions = StatedCaptions(captions, stated_MP, np.stack(list(scoring.facts.values())))
    search = SomeSearch(ExactSearch(captions), rows_M)
    return search.top(clips_BD - scoring.offset_with(clips_BD.mean(axis=0), len(clips_BD)), _K)


def _heard(scoring: Scoring, clips_BD: NDArray[np.float32]) -> NDArray[np.float64]:
    """(B, judged facts): the product of each clip with the fact's vector; NaN where the model has none."""
    less_BD = clips_BD - scoring.offset_with(clips_BD.mean(axis=0), len(clips_BD))
    none_D = np.full(clips_BD.shape[1], np.nan, np.float32)
    return (less_BD @ np.stack([scoring.facts.get(fact, none_D) for fact in TAGGED_FACTS]).T).astype(np.float64)


def _judged_facts(text: str) -> list[int]:
    said = map(instrument_of, stated_facts(text))
    return [TAGGED_FACTS.index(f) for f in said if f in TAGGED_FACTS and not f.startswith("voice:")]


def _print_captions(
    vocabulary: Vocabulary,
    name: str,
    found: Found,
    rank_BF: NDArray[np.float64],
    tracks: list[str],
    heard_BF: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Prints a row of the table; returns (statements, 4): the fact's score and rank, and the means of both over the
    caption's statements, where the scores of facts are given (NaN for one without a vector)."""
    texts, rows_BK = vocabulary.texts, found.rows_QK
    stated = {int(row): _judged_facts(texts[int(row)].as_py()) for row in np.unique(rows_BK)}
    facts = [[f for row in rows_K for f in stated[int(row)]] for rows_K in rows_BK]
    count_B = np.array([len(f) for f in facts])
    _, track_B = np.unique(tracks, return_inverse=True)
    rng = np.random.default_rng(0)

    def auc(order_B: NDArray[np.int64], weight_B: NDArray[Any]) -> tuple[float, float]:
        right_B = np.array([rank_BF[clip, f].sum() for clip, f in zip(order_B, facts, strict=True)])
        mean = float((weight_B * right_B).sum() / max((weight_B * count_B).sum(), 1))
        return mean, (mean - 0.5) * float((weight_B * count_B).sum() / (_K * weight_B.sum()))

    own, ones = np.arange(len(facts)), np.ones(len(facts))
    mean, gain = auc(own, ones)
    draws = [
        rng.multinomial(track_B.max() + 1, np.full(track_B.max() + 1, 1 / (track_B.max() + 1)))[track_B]
        for _ in range(300)
    ]
    (low, low_gain), (high, high_gain) = np.quantile([auc(own, d) for d in draws], [0.05, 0.95], axis=0)
    shuffled = np.mean([auc(rng.permutation(len(facts)), ones)[0] for _ in range(100)])
    uses = np.bincount(rows_BK.ravel())
    print(
        f"| {vocabulary.card.name} | {name} | {count_B.sum() / rows_BK.size:.2f} | "
        f"{mean:.3f} ({low:.3f} to {high:.3f}) | "
        f"{gain:.3f} ({low_gain:.3f} to {high_gain:.3f}) | {shuffled:.3f} | "
        f"{(uses > 0).sum()} of {rows_BK.size} | {uses.max()} |",
        flush=True,
    )
    said = []
    if heard_BF is not None:
        for heard_F, rank_F, rows_K in zip(heard_BF, rank_BF, rows_BK, strict=True):
            for row in rows_K:
                both = [(heard_F[f], rank_F[f]) for f in stated[int(row)] if not np.isnan(heard_F[f])]
                said += [(*one, *np.mean(both, axis=0)) for one in both]
    return np.array(said)


def _print_scores(judged: Mapping[str, NDArray[np.float64]], holds: Sequence[float] | None) -> None:
    """Whether a stated fact's score tells right from wrong, and a chance what it says it is."""
    print(
        "\n| captions | statements right, of right and wrong | AUC of the fact's score, right against wrong | "
        "likewise, captions by the means of their facts | chance that was given: share that holds, by fifths |\n"
        + "|---" * 5
        + "|"
    )
    for kind, said in judged.items():
        right, wrong = (said[of] for of in (said[:, 1] >= _RIGHT, said[:, 1] < _WRONG))
        each = np.unique(said[:, 2:], axis=0)
        good, bad = (each[of, 0] for of in (each[:, 1] >= _RIGHT, each[:, 1] < _WRONG))
        fifths = ""
        if holds is not None:
            chance = np.array([chance_to_hold(holds, score) for score in said[:, 0]])
            parts = np.array_split(np.argsort(chance, kind="stable"), _BINS)
            fifths = ", ".join(f"{chance[p].mean():.2f}: {(said[p, 1] >= 0.5).mean():.2f}" for p in parts)
        print(
            f"| {kind} | {len(right) / (len(right) + len(wrong)):.2f} | {_above(right[:, 0], wrong[:, 0]):.3f} | "
            f"{_above(good, bad):.3f} | {fifths} |"
        )
    if holds is not None:
        print(f"holds: {[round(float(x), 3) for x in holds]}")


def _above(high: NDArray[np.floating], low: NDArray[np.floating]) -> float:
    return float((np.sign(high[:, None] - low[None]).mean() + 1) / 2)


def _fitted(said: NDArray[np.float64]) -> list[float]:
    """Logistic regression of a rank above one half on the fact's score, by Newton's method."""
    x_N2, y_N = np.column_stack([np.ones(len(said)), said[:, 0]]), said[:, 1] >= 0.5
    w_2 = np.zeros(2)
    for _ in range(30):
        p_N = 1 / (1 + np.exp(-x_N2 @ w_2))
        w_2 = w_2 + np.linalg.solve((x_N2 * (p_N * (1 - p_N))[:, None]).T @ x_N2, x_N2.T @ (y_N - p_N))
    return [float(x) for x in w_2]


def _print_facts(
    embedder: Embedder,
    scoring: Scoring | None,
    clips_BD: NDArray[np.float32],
    score_BF: NDArray[np.float64],
    onsets_B: NDArray[np.float64],
) -> dict[str, dict[str, float]]:
    """AUC of each fact's own score, the tagger's top fifth of clips (of density: by onsets) against its lower half: by
    its words, and with the vector that the model brings of it, each over its spread. Returned are the facts that are
    heard, under `probes` those that are heard no worse with the vector."""
    judges = dict(zip(TAGGED_FACTS, score_BF.T, strict=True))
    judges |= {"density:busy": onsets_B, "density:sparse": -onsets_B}
    words, both = {}, {}
    for fact, judge_B in judges.items():
        high_B, low_B = judge_B >= np.quantile(judge_B, 0.8), judge_B < np.quantile(judge_B, 0.5)
        mine_B = _over_spread(clips_BD @ fact_direction(embedder, fact))
        words[fact] = _above(mine_B[high_B], mine_B[low_B])
        if scoring and fact in scoring.facts:
            mine_B = mine_B + _over_spread(clips_BD @ scoring.facts[fact])
            both[fact] = _above(mine_B[high_B], mine_B[low_B])
    print("\n| fact | AUC by its words | and the model's vector |\n|---|---|---|")
    for fact, auc in sorted(words.items(), key=lambda pair: -pair[1]):
        print(f"| {fact} | {auc:.2f} | {f'{both[fact]:.2f}' if fact in both else ''} |")
    heard: dict[str, dict[str, float]] = {"words": {}, "probes": {}}
    for fact, auc in words.items():
        best = max(auc, both.get(fact, 0.0))
        if best >= _HEARD_AUC and not fact.startswith("tempo:") and fact not in _VOICES:
            instrument = fact.removeprefix("instrument:")
            names = [fact, f"lead:{instrument}"] if f"lead:{instrument}" in WORDS and instrument != fact else [fact]
            heard["probes" if best == both.get(fact) else "words"] |= dict.fromkeys(names, round(best, 3))
    return heard


def _over_spread(score_B: NDArray[np.float32]) -> NDArray[np.float32]:
    over_B: NDArray[np.float32] = score_B / score_B.std()
    return over_B


def _print_tempo(embedder: Embedder, clips_BD: NDArray[np.float32], tempi_B2: NDArray[np.float64]) -> None:
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    faster_B = clips_BD @ (fact_direction(embedder, "tempo:fast") - fact_direction(embedder, "tempo:slow"))
    bpm, onsets = (float(spearmanr(faster_B, tempi_B2[:, k])[0]) for k in (0, 1))
    print(f"\nfast less slow, rank correlation: {bpm:.2f} with beats a minute, {onsets:.2f} with onsets a second")


if __name__ == "__main__":
    raise SystemExit(main())
