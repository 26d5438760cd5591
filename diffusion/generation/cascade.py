"""A prompt through three stages to 24 kHz audio: the waveform cascade, or the spectrogram cascade (PAPER 3.3)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from diffusion.data.text_encoder import TextEncoderCard, load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.held import Held
from diffusion.generation.stage_model import StageModel
from diffusion.model.config import SamplingConfig, StageName
from diffusion.process.noise import noise_schedule
from diffusion.process.steps import EVEN, sampling_times
from pipeline.errors import BadInput

__all__ = ["CASCADES", "Cascade", "CascadeName", "Generated", "load_cascade"]

CascadeName = Literal["waveform", "spectrogram"]
CASCADES: dict[CascadeName, tuple[StageName, StageName, StageName]] = {
    "waveform": ("waveform-generator", "waveform-cascader", "super-resolution"),
    "spectrogram": ("spectrogram-generator", "spectrogram-vocoder", "super-resolution"),
}


@dataclass(frozen=True)
class Generated:
    """One prompt's audio."""

    prompt: str
    seed: int
    stages: dict[StageName, NDArray[np.float32]]
    """What each stage made: waveforms at their rates, (T,) or (2, T), or the log-mel (80, frames). The last is the
    result."""


@dataclass(frozen=True)
class Cascade:
    """Stages that fit each other, in the order in which they run."""

    stages: tuple[StageModel, ...]
    text: TextSource

    @property
    def sample_rate_hz(self) -> int:
        return self.stages[-1].config.target_rate_hz

    @property
    def stereo(self) -> bool:
        return self.stages[-1].config.stereo

    def fitting_batch(self, seconds: float) -> int:
        """Clips at once that should fill the device's free memory and not exceed it; 4 on a CPU.

        Counts what is alive at the full rate, where activations are largest: about eight tensors of the base width, for
        both halves of a guidance pair. Should it still be too much, `generate` halves it.
        """
        device = next(self.stages[0].model.parameters()).device
        if device.type != "cuda":
            return 4
        free, _ = torch.cuda.mem_get_info(device)
        most = max(
            stage.config.unet.base * stage.config.length(seconds) * 2 * 8 * (2 if stage.config.uses_text else 1)
            for stage in self.stages
        )
        return max(1, int(0.7 * free / most))

    def sampling(self, changes: Mapping[str, Mapping[StageName | None, Any]]) -> dict[StageName, SamplingConfig]:
        """Each stage's own settings, with what the user wants otherwise: field -> stage, or None for all, -> value.

        A solver of the ODE walks evenly in log-SNR and in 50 steps, unless the user says otherwise; guidance for all
        means those that read text.
        """
        settings = {}
        for stage in self.stages:
            name = stage.config.stage
            wanted = {field: values.get(name, values.get(None)) for field, values in changes.items()}
            wanted = {field: value for field, value in wanted.items() if value is not None}
            if not stage.config.uses_text and name not in changes.get("guidance", {}):
                wanted.pop("guidance", None)
            if wanted.get("solver", "ancestral") != "ancestral":
                wanted = {"schedule": EVEN, "steps": None, **wanted}
            found = {**stage.config.sampling.model_dump(), **wanted}
            try:
                settings[name] = SamplingConfig.model_validate(found)
            except ValidationError as error:
                first = error.errors()[0]
                raise BadInput(f"{first['loc'][0]} {first['input']!r} of {name}: {first['msg']}") from error
            sampling_times(name, settings[name], noise_schedule(stage.config.noise))  # refuses an unknown schedule
        return settings

    def generate(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        seconds: float,
        sampling: Mapping[StageName, SamplingConfig],
        batch: int,
        negatives: Sequence[str] = (),
        held: Held | None = None,
        on_step: Callable[[StageName, int], None] = lambda stage, clips: None,
    ) -> Iterator[Generated]:
        """One result a prompt, in order. A batch that does not fit in memory is halved and tried again.

        negatives: one a prompt, empty for none. held: audio that all clips hold on to.
        """
        start = 0
        while start < len(prompts):
            chosen = slice(start, start + batch)
            try:
                made = self._batch(prompts[chosen], seeds[chosen], seconds, sampling, negatives[chosen], held, on_step)
            except torch.OutOfMemoryError:
                if batch == 1:
                    raise BadInput(
                        f"one clip of {seconds:g} s does not fit in memory; make it shorter: --seconds"
                    ) from None
                torch.cuda.empty_cache()
                batch = batch // 2
                continue
            for i, (prompt, seed) in enumerate(zip(prompts[chosen], seeds[chosen], strict=True)):
                yield Generated(prompt, seed, {stage: value[i] for stage, value in made.items()})
            start += batch

    def _batch(
        self,
        prompts: Sequence[str],
        seeds: Sequence[int],
        seconds: float,
        sampling: Mapping[StageName, SamplingConfig],
        negatives: Sequence[str],
        held: Held | None,
        on_step: Callable[[StageName, int], None],
    ) -> dict[StageName, NDArray[np.float32]]:
        made: dict[StageName, NDArray[np.float32]] = {}
        condition: Tensor | None = None
        for stage in self.stages:
            name = stage.config.stage
            out_BCT = stage.generate(
                seeds, seconds, texts=prompts, negatives=negatives, text_source=self.text, condition=condition,
                held=held, sampling=sampling[name], on_step=lambda n, name=name: on_step(name, len(prompts)),  # type: ignore[misc]
            )  # fmt: skip
            one = not (stage.config.makes_mel or stage.config.stereo)
            condition = out_BCT[:, 0] if one else out_BCT
            made[name] = condition.float().cpu().numpy()
        return made


def load_cascade(
    name: CascadeName,
    folders: Mapping[StageName, Path],
    *,
    device: str = "cpu",
    text_encoder: str | None = None,
    compile: bool = False,
    cuda_graphs: bool = False,
) -> Cascade:
    """Raises BadInput, before anything is sampled, for stages that are missing or do not fit each other."""
    stages = []
    for stage in CASCADES[name]:
        folder = folders.get(stage)
        if folder is None or not folder.exists():
            raise BadInput(
                f"the {name} cascade needs {stage}, and {folder} is not there; train it: cratedig train {stage}"
            )
        model = StageModel.load(folder, device, compile=compile, cuda_graphs=cuda_graphs)
        if model.config.stage != stage:
            raise BadInput(f"{model.folder} is a checkpoint of {model.config.stage}, expected is {stage}")
        stages.append(model)
    check_fit(stages)
    source = text_encoder or stages[0].encoder_source
    encoder = load_text_encoder(source, device=device)
    for model in stages:
        if model.text_encoder is not None:
            encoder.card.refuse_other(model.text_encoder, str(model.folder))
    return Cascade(tuple(stages), TextSource(encoder, stages[0].config.token_limit))


def check_fit(stages: Sequence[StageModel]) -> None:
    """Rates, mel settings and text encoders of neighbouring stages, by name."""
    for lower, upper in itertools.pairwise(stages):
        a, b = lower.config, upper.config
        names = f"{a.stage} ({lower.folder}) and {b.stage} ({upper.folder}) do not fit: "
        if b.condition_rate_hz and a.target_rate_hz != b.condition_rate_hz:
            raise BadInput(f"{names}one makes {a.target_rate_hz} Hz, the other refines {b.condition_rate_hz} Hz")
        if b.uses_mel and a.mel != b.mel:
            ours = a.mel.model_dump() if a.mel else {}
            theirs = b.mel.model_dump() if b.mel else {}
            field = next(key for key in theirs if ours.get(key) != theirs[key])
            raise BadInput(f"{names}mel {field} is {ours.get(field)} in one and {theirs[field]} in the other")
        if lower.text_encoder and upper.text_encoder and not _same_encoder(lower.text_encoder, upper.text_encoder):
            raise BadInput(
                f"{names}trained with text encoders {lower.text_encoder['name']!r} and {upper.text_encoder['name']!r}; "
                "retrain one with the other's"
            )


def _same_encoder(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    try:
        TextEncoderCard(**a).refuse_other(b, "")
    except BadInput:
        return False
    return True
