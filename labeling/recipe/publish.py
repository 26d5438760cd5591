"""From a training folder to the folder that is shipped: the files a user loads, and a card that says what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import mean
from typing import Any

from labeling.recipe.judging.evaluate import Figures, as_table
from labeling.recipe.training.tokenizer import split_words
from labeling.recipe.training.vocabulary_texts import vocabulary_pool
from labeling.recipe.training.words import MUSICCAPS_WORDS_KNOWN
from pipeline.errors import BadInput
from vocab.grammar.lexicon import FAMILIES, STYLES

__all__ = ["LARGEST_BYTES", "publish"]

_FILES = ("config.json", "model.safetensors", "processor_config.json", "tokenizer.json", "tokenizer_config.json")
LARGEST_BYTES = 12_000_000

_CARD = """---
library_name: transformers
pipeline_tag: zero-shot-audio-classification
license: apache-2.0
tags: [music, clap, contrastive, synthetic-data]
---
# The bundled music-text model

A `transformers` ClapModel of {parameters:.1f} million parameters ({megabytes:.1f} MB, fp16) that maps ten seconds of
mono audio at 24 kHz and short English descriptions to one space of 128 dimensions. It exists so that `cratedig` labels
music on a machine that has nothing else; use LAION's weights where you can get them.

```python
model = ClapModel.from_pretrained(folder, dtype=torch.float32)  # fp16 as stored fails on many CPUs
processor = ClapProcessor.from_pretrained(folder)
```

## What it was trained on

On music that this repository composes (`labeling/recipe/composing/compose.py`) and renders with two soundfonts,
synthesisers, drum machines, guitar amplifiers, a few recorded drum kits and telephone prompts, and on captions that
state what the composer did: {windows:,} windows of ten seconds, {samples:,} samples seen
({training}). {heard}
No human caption. It knows {styles} styles, {instruments} lead instruments in {families} families, tempo,
drums, energy, density, register, moods, textures, voices by formant synthesis, and a few kinds of noise; its tokenizer
has {words:,} words (lower case, one token a word), among them {known} of the 500 most used words of MusicCaps' aspect
tags and {share:.2%} of what the bundled vocabularies say. A word it doesn't know becomes `<unk>`, which it was trained
to read past.

{recorded}## How good it is on composed pieces

{evaluation}

{table}

{weak} Speed, and the cost of a caption: `python -m benchmarks.embedder`.

## What it is not

- The test music comes from the same composer as the training music; only soundfont, rooms and mixes are new. On
  recordings expect less: broad things (drums or none, calm or loud, electronic or orchestral) carry over, single
  instruments often do not.
- Singing voices are synthetic, in training and in test. It may take a real singer for an instrument.
- Its tempo words follow how many notes there are nearly as much as how fast the beat is.
- It knows no major or minor, no meter, no language, no artist and no lyrics.
- Tempo classes leave gaps (84 to 92 and 118 to 126 beats a minute), and so do energy, density and register; the
  figures count clear cases only.

## Licences

The weights are under Apache-2.0, as the project. They were trained on sound made with the soundfonts FluidR3 GM and
MuseScore General, whose notice follows (parts of the second are in the public domain or CC0). TimGM6mb (GPL-2) was used
to test, never to train; nothing made with it is here. Some drums are samples of sonic-pi (CC0) and of the Hydrogen kit
Audiophob (CC0); speech is prompts of Asterisk by Carlo Flora (Italian, segreterietelefoniche.it) and Maxim Topal
(Russian, ivrvoice.ru), both CC-BY-3.0, cut, resampled and put one after another.

> Copyright (c) 2000-2002, 2008 Frank Wen; copyright (c) 2008 Toby Smithe; copyright (c) 2014-2017 Michael Cowgill;
> copyright (c) 2018-2021 S. Christian Collins; temple blocks copyright (c) 2002 Ethan Winer; drumline cymbals
> copyright (c) 2016 Michael Schorsch
>
> Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
> documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
> rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
> persons to whom the Software is furnished to do so, subject to the following conditions:
>
> The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
> Software.
>
> THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
> WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
> COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
> OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def publish(
    trained: Path,
    out: Path,
    *,
    figures: Path,
    windows: int,
    samples: int,
    training: str,
    recorded: str = "",
    recordings: str = "",
) -> int:
    """Copies what is needed and writes the card; returns the bytes of the folder.

    recorded: Markdown, what was measured on recorded music. recordings: which took part in training, where any did.
    """
    missing = [name for name in _FILES if not (trained / name).is_file()]
    if missing:
        raise BadInput(f"{trained} lacks {', '.join(missing)}: expected a folder that `train` has written")
    out.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(trained / name, out / name)
    runs = [[Figures(**figure) for figure in run] for run in json.loads(figures.read_text())]
    (out / "README.md").write_text(_card(trained, runs, windows, samples, training, recorded, recordings))
    total = sum((out / name).stat().st_size for name in (*_FILES, "README.md"))
    if total > LARGEST_BYTES:
        raise BadInput(f"{out} has {total:,} bytes: expected {LARGEST_BYTES:,} at most; train a smaller model")
    return total


def _card(
    trained: Path,
    runs: list[list[Figures]],
    windows: int,
    samples: int,
    training: str,
    recorded: str,
    recordings: str,
) -> str:
    weights = (trained / "model.safetensors").stat().st_size
    words: dict[str, Any] = json.loads((trained / "tokenizer.json").read_text())["model"]["vocab"]
    pieces = runs[0][-1].windows
    leads = next(f.classes for f in runs[0] if f.name == "solo instrument")
    return _CARD.format(
        parameters=weights / 2e6,
        megabytes=weights / 1e6,
        windows=windows,
        samples=samples,
        training=training,
        heard=_HEARD.format(recordings) if recordings else "No recorded music.",
        styles=len(STYLES),
        instruments=leads + 1,
        families=len(FAMILIES),
        words=len(words),
        known=MUSICCAPS_WORDS_KNOWN,
        share=_known_share(set(words)),
        evaluation=_EVALUATION.format(
            sets="one set" if len(runs) == 1 else f"{len(runs)} sets of different pieces, mean and range",
            pieces=pieces,
        ),
        table=as_table(runs),
        weak=_weak(runs),
        recorded=f"## On recorded music\n\n{recorded.strip()}\n\n" if recorded else "",
    )


def _weak(runs: list[list[Figures]]) -> str:
    """Where the model should not be trusted over something simpler, said before anyone has to look for it."""
    names = [
        same[0].name
        for same in zip(*runs, strict=True)
        if mean(f.result for f in same) <= mean(f.plain if f.plain is not None else f.shuffled for f in same)
    ]
    if not names:
        return "The model is above its controls in every row."
    return f"The plain classifier does as well as the model or better in: {', '.join(names)}."


def _known_share(words: set[str]) -> float:
    """Of all words of the bundled vocabularies, repeats counted."""
    texts = [word for caption in vocabulary_pool() for word in split_words(caption.text)]
    return sum(word in words for word in texts) / len(texts)


_HEARD = """Of recorded music it heard {}, with nothing said of them: which windows are of one
track, their tone, and that facts are about as frequent in them as in composed music."""

_EVALUATION = """On pieces rendered with a soundfont (TimGM6mb), reverbs (mirror images of a box; training had decaying
noise) and mixes (deeper equalisers) that it never met: {sets}, {pieces} pieces each, one trained model. Zero-shot, each
class by the mean of its phrases in five templates. Beside each result: chance, a logistic regression on mel statistics
trained on the training pieces, and the same model with the audio shuffled. "True facts" are counted in three captions a
window, drawn from its ten nearest of 3,000 by inverse frequency; chance is three captions drawn at random, and the hub
correction is each caption's mean over 600 training windows. Classes are as unbalanced as the composer makes them."""
