"""How the bundled model's captions fare on recorded music, judged by a tagger that knows nothing of this project.

    pip download --no-deps musicnn==0.1.0
    python -m benchmarks.real_music FOLDER ... --musicnn musicnn-0.1.0-py3-none-any.whl [--facts heard.json]

Two clips of 30 s of each track. For each fact that a caption states and that the tagger has tags for, the clip's rank
among all clips by those tags: the mean rank is an AUC, .5 is chance, and saying what is always true earns nothing.
Gain is (AUC - .5) x facts a caption. Intervals (90 %) come from drawing whole tracks anew; `shuffled` gives each clip
another clip's captions. Voices are left out of captions' facts: music without singing cannot judge them. `--facts`
writes the AUC of each fact that reaches .6: what `python -m labeling.recipe calibrate --hears` takes.

B clips, K captions each, N captions, F facts.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.musicnn_tags import RATE_HZ, TAGS, Musicnn
from labeling.embedders.by_name import load_embedder
from labeling.embedders.embedder import Embedder
from labeling.embedders.scoring import read_scoring
from labeling.evaluation.tag_facts import TAGGED_FACTS, fact_scores
from labeling.recipe.judging.recorded import recorded_clips
from labeling.search.exact import ExactSearch
from labeling.search.some import SomeCaptions, SomeSearch, heard_rows
from vocab.grammar.lexicon import WORDS, stated_facts
from vocab.store import Kind, bundled_vocabulary

__all__ = ["main"]

_K = 10
_HEARD_AUC = 0.6
_TEMPLATES = ("{}", "{} music", "a piece with {}", "this is {}", "{} sound")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--musicnn", type=Path, required=True, help="its wheel; nothing of it is installed")
    parser.add_argument("--model", default="bundled")
    parser.add_argument("--facts", type=Path, help="write the facts that are heard, with their AUC")
    args = parser.parse_args()
    embedder, tagger = load_embedder(args.model, device="cpu"), Musicnn(args.musicnn)
    tracks, clips, tags, tempi = _measure(args.folders, embedder, tagger)
    by_tag = {name: dict(zip(TAGS[name], np.stack([t[name] for t in tags]).T, strict=True)) for name in TAGS}
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
    for kind in ("long", "short"):
        vocabulary = bundled_vocabulary(kind)
        captions_ND = embedder.embed_text(vocabulary.texts.to_pylist())
        ways = [("plain cosine, all captions", clips, np.arange(len(vocabulary)))]
        if scoring:
            taken_off = scoring.offset_with(clips.mean(axis=0), len(clips))
            ways.append(("the model's own way", clips - taken_off, heard_rows(vocabulary, scoring.hears)))
        for name, queries_BD, rows_M in ways:
            search = SomeSearch(ExactSearch(SomeCaptions(captions_ND, rows_M)), rows_M)
            _print_captions(kind, name, search.top(queries_BD, _K).rows_QK, rank_BF, tracks)
    heard = _print_facts(embedder, clips, score_BF)
    _print_tempo(embedder, clips, np.array(tempi))
    if args.facts:
        args.facts.write_text(json.dumps(heard, indent=1) + "\n", encoding="utf-8")
    return 0


def _measure(
    folders: list[Path], embedder: Embedder, tagger: Musicnn
) -> tuple[list[str], NDArray[np.float32], list[dict[str, NDArray[np.float32]]], list[tuple[float, float]]]:
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
    return tracks, np.stack(found), tags, tempi


def _judged_facts(text: str) -> list[int]:
    said = (f"instrument:{fact[5:]}" if fact.startswith("lead:") else fact for fact in stated_facts(text))
    return [TAGGED_FACTS.index(f) for f in said if f in TAGGED_FACTS and not f.startswith("voice:")]


def _print_captions(
    kind: Kind, name: str, rows_BK: NDArray[np.int64], rank_BF: NDArray[np.float64], tracks: list[str]
) -> None:
    texts = bundled_vocabulary(kind).texts
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
        f"| {kind} | {name} | {count_B.sum() / rows_BK.size:.2f} | {mean:.3f} ({low:.3f} to {high:.3f}) | "
        f"{gain:.3f} ({low_gain:.3f} to {high_gain:.3f}) | {shuffled:.3f} | "
        f"{(uses > 0).sum()} of {rows_BK.size} | {uses.max()} |",
        flush=True,
    )


def _fact_vector(embedder: Embedder, fact: str) -> NDArray[np.float32]:
    mean = embedder.embed_text([t.format(w) for w in WORDS[fact][:4] for t in _TEMPLATES]).mean(axis=0)
    out: NDArray[np.float32] = mean / np.linalg.norm(mean)
    return out


def _print_facts(embedder: Embedder, clips_BD: NDArray[np.float32], score_BF: NDArray[np.float64]) -> dict[str, float]:
    """AUC of each fact's own score: the tagger's top fifth of clips against its lower half."""
    found = {}
    for column, fact in enumerate(TAGGED_FACTS):
        mine_B, judge_B = clips_BD @ _fact_vector(embedder, fact), score_BF[:, column]
        high, low = mine_B[judge_B >= np.quantile(judge_B, 0.8)], mine_B[judge_B < np.quantile(judge_B, 0.5)]
        found[fact] = float((high[:, None] > low[None]).mean())
    print("\n| fact | AUC |\n|---|---|")
    for fact, auc in sorted(found.items(), key=lambda pair: -pair[1]):
        print(f"| {fact} | {auc:.2f} |")
    return {fact: round(auc, 3) for fact, auc in found.items() if auc >= _HEARD_AUC}


def _print_tempo(embedder: Embedder, clips_BD: NDArray[np.float32], tempi_B2: NDArray[np.float64]) -> None:
    from scipy.stats import spearmanr  # type: ignore[import-untyped]

    faster_B = clips_BD @ (_fact_vector(embedder, "tempo:fast") - _fact_vector(embedder, "tempo:slow"))
    bpm, onsets = (float(spearmanr(faster_B, tempi_B2[:, k])[0]) for k in (0, 1))
    print(f"\nfast less slow, rank correlation: {bpm:.2f} with beats a minute, {onsets:.2f} with onsets a second")


if __name__ == "__main__":
    raise SystemExit(main())
