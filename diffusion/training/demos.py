"""What a stage sounds like while it trains: from true conditions, and from its own cascade, so that the stage at fault
can be heard.

    demos/step-00020000/0-truth.wav         the held-out clip
    demos/step-00020000/0-from-truth.wav    this stage, given the true condition (or the clip's own words)
    demos/step-00020000/0-end-to-end.wav    this stage, given what the stages below it in the run made of the words
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion.data.batch import mel_condition
from diffusion.data.example import GRID_HZ, MARGIN_FRAMES, Example
from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.cascade import CASCADES
from diffusion.generation.stage_model import StageModel
from diffusion.generation.wav import write_wav
from diffusion.model.config import StageConfig, StageName
from diffusion.process.invert import invert_mel
from diffusion.training.trainer import Trainer
from pipeline.errors import CratedigError

__all__ = ["HeldOutSamples", "held_out_samples", "make_demos", "true_condition", "truth"]


@dataclass(frozen=True, kw_only=True)
class HeldOutSamples:
    """Held-out clips as a stage makes them of their own words and true conditions, beside what they are."""

    texts: list[str] | None
    """None for a stage that reads none."""
    truth: list[NDArray[np.float32]]
    made: list[NDArray[np.float32]]
    sample_rate_hz: int


def held_out_samples(trainer: Trainer, clips: int) -> HeldOutSamples:
    """The same clips, words and seeds at every step, by the averaged model. A mel is made audible without a
    model, on both sides."""
    stage = trainer.stage
    examples = [trainer.held_out.example(i) for i in range(clips)]
    texts = _texts(trainer, examples)
    model = StageModel(
        stage, trainer.averaged_model.eval(), None, trainer.config.text_encoder, trainer.step, trainer.out
    )
    made_BCT = model.generate(
        list(range(clips)),
        stage.train_s,
        condition=true_condition(examples, stage),
        texts=texts,
        text_source=trainer.text,
    )
    return HeldOutSamples(
        texts=texts,
        truth=_audible(truth(examples, stage), stage),
        made=_audible(made_BCT, stage),
        sample_rate_hz=stage.target_rate_hz,
    )


def _texts(trainer: Trainer, examples: list[Example]) -> list[str] | None:
    if trainer.text is None:
        return None
    return [trainer.text.draw(example.texts, example.text_uniform) or "music" for example in examples]


def make_demos(trainer: Trainer, run: Path) -> list[Path]:
    """Sample the averaged model on held-out clips; `run` is where the other stages may lie. Main process only."""
    if not trainer.accelerator.is_main_process:
        return []
    stage, config = trainer.stage, trainer.config
    examples = [trainer.held_out.example(i) for i in range(config.demo_clips)]
    folder = trainer.out / "demos" / f"step-{trainer.step:08d}"
    model = trainer.averaged_model.eval()
    ours = StageModel(stage, model, None, config.text_encoder, trainer.step, folder)
    seeds = list(range(config.demo_clips))
    texts = _texts(trainer, examples)
    made = {"truth": truth(examples, stage)}
    given = {"texts": texts, "text_source": trainer.text}
    condition = true_condition(examples, stage)
    made["from-truth"] = ours.generate(seeds, stage.train_s, condition=condition, **given)  # type: ignore[arg-type]
    lower = _from_below(trainer, run, seeds, examples) if condition is not None else None
    if lower is not None:
        made["end-to-end"] = ours.generate(seeds, stage.train_s, condition=lower, **given)  # type: ignore[arg-type]
    paths = []
    for name, value in made.items():
        for i, audio in enumerate(_audible(value, stage)):
            path = folder / f"{i}-{name}.wav"
            settings = {"stage": stage.stage, "step": trainer.step, "clip_id": examples[i].clip_id}
            write_wav(path, audio, stage.target_rate_hz, {**settings, **({"prompt": texts[i]} if texts else {})})
            trainer.log.audio(f"{name}/{i}", audio, stage.target_rate_hz, trainer.step)
            paths.append(path)
    return paths


def _from_below(trainer: Trainer, run: Path, seeds: list[int], examples: list[Example]) -> Tensor | None:
    """What the stage below makes of the clips' words; None where the run has none that fits, which is said."""
    stage = trainer.stage
    below: StageName = "waveform-generator"
    if stage.uses_mel:
        below = "spectrogram-generator"
    elif stage.stage == "super-resolution":
        below = CASCADES["waveform"][1]
    if not (run / below / "checkpoints").is_dir():
        return None
    try:
        generator = StageModel.load(run / CASCADES["spectrogram" if stage.uses_mel else "waveform"][0])
        encoder = load_text_encoder(generator.encoder_source)
        encoder.card.refuse_other(generator.text_encoder or {}, str(generator.folder))
        text = TextSource(encoder, generator.config.token_limit)
        texts = [text.draw(example.texts, example.text_uniform) or "music" for example in examples]
        seconds = stage.train_s
        made = generator.generate(seeds, seconds, texts=texts, text_source=text)
        if stage.stage == "super-resolution":
            middle = StageModel.load(run / below)
            made = middle.generate(seeds, seconds, texts=texts, text_source=text, condition=made[:, 0])
    except CratedigError as error:
        print(f"no end-to-end demo: {error}", flush=True)
        return None
    return made if stage.uses_mel else made[:, 0]


def true_condition(examples: list[Example], stage: StageConfig) -> Tensor | None:
    """What the stage below would have made, taken from the clips themselves; None for a generator."""
    if stage.uses_mel:
        audio = torch.from_numpy(np.stack([example.target for example in examples]))
        return mel_condition(audio, stage)[..., MARGIN_FRAMES:-MARGIN_FRAMES]
    if stage.condition_rate_hz is None:
        return None
    margin = MARGIN_FRAMES * stage.condition_rate_hz // GRID_HZ
    return torch.from_numpy(np.stack([e.condition[margin:-margin] for e in examples if e.condition is not None]))


def truth(examples: list[Example], stage: StageConfig) -> Tensor:
    """What the stage should make, (B, C, T)."""
    audio = torch.from_numpy(np.stack([example.target for example in examples]))
    if stage.makes_mel:
        return mel_condition(audio, stage)[..., MARGIN_FRAMES:-MARGIN_FRAMES]
    margin = MARGIN_FRAMES * stage.target_rate_hz // GRID_HZ
    return audio.reshape(len(examples), -1, audio.shape[-1])[..., margin:-margin]


def _audible(value_BCT: Tensor, stage: StageConfig) -> list[NDArray[np.float32]]:
    """Waveforms as they are, (T,) or (2, T); a mel without a model."""
    if stage.makes_mel and stage.mel:
        value_BCT = invert_mel(value_BCT.float(), stage.mel)[:, None]
    audio = value_BCT if stage.stereo else value_BCT[:, 0]
    return list(audio.float().cpu().numpy())
