"""A trained stage that can be sampled: its averaged weights, and everything its checkpoint says about it.

B batch, C channels, T time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diffusion.data.batch import network_condition, waveform_condition
from diffusion.data.text_source import TextSource
from diffusion.generation.held import Held
from diffusion.model.checkpoint import read_checkpoint
from diffusion.model.config import SamplingConfig, StageConfig
from diffusion.model.kernels import CudaGraphs, compile_where_it_works, fast_kernels, fast_weights, why_not_compiled
from diffusion.model.lora import add_lora, merge_lora
from diffusion.model.unet import UNet
from diffusion.process.augment import add_noise
from diffusion.process.diffused import from_diffused, to_diffused
from diffusion.process.invert import invert_mel
from diffusion.process.noise import noise_from, noise_schedule
from diffusion.process.sampler import Denoiser, batch_noise, clip_estimate, guided, sample
from diffusion.process.solvers import calls
from diffusion.process.steps import sampling_times, times_until
from diffusion.process.whiten import fit_mel
from pipeline.errors import BadInput
from pipeline.ids import hash_u64

__all__ = ["StageModel"]


@dataclass(frozen=True)
class StageModel:
    """One stage, ready to sample."""

    config: StageConfig
    model: UNet
    text_encoder: dict[str, Any] | None
    """The card of the encoder it was trained with."""
    encoder_source: str
    step: int
    folder: Path
    graphs: CudaGraphs | None = None
    """The network as CUDA graphs, where it is sampled by them."""

    @classmethod
    def load(
        cls, path: Path, device: torch.device | str = "cpu", *, compile: bool = False, cuda_graphs: bool = False
    ) -> StageModel:
        """From a checkpoint's folder, or a stage's, of which the latest checkpoint is taken."""
        if compile and (why := why_not_compiled(device)):
            raise BadInput(f"the network cannot be compiled here: {why}; leave --compile away")
        if cuda_graphs and torch.device(device).type != "cuda":
            raise BadInput("there is no CUDA device for CUDA graphs; leave --cuda-graphs away")
        fast_kernels(device)
        checkpoint = read_checkpoint(path)
        config = checkpoint.config.stage
        with torch.device("meta"):
            model = UNet(config.unet)
            if checkpoint.config.lora_rank:
                add_lora(model, checkpoint.config.lora_rank)
        tensors = checkpoint.tensors("ema")
        try:
            model.load_state_dict(tensors, assign=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise BadInput(f"{checkpoint.folder} does not fit its own configuration ({reason}); use another") from error
        if checkpoint.config.lora_rank:
            merge_lora(model)
        dtype = torch.bfloat16 if torch.device(device).type == "cuda" else torch.float32
        model = fast_weights(model.to(device, dtype).eval().requires_grad_(False), device)
        if compile:
            compile_where_it_works(model, device)
        source = checkpoint.config.text_encoder
        graphs = CudaGraphs(model) if cuda_graphs else None
        return cls(config, model, checkpoint.text_encoder, source, checkpoint.step, checkpoint.folder, graphs)

    @torch.no_grad()
    def generate(
        self,
        seeds: Sequence[int],
        seconds: float,
        *,
        texts: Sequence[str] | None = None,
        negatives: Sequence[str] | None = None,
        text_source: TextSource | None = None,
        condition: Tensor | None = None,
        held: Held | None = None,
        sampling: SamplingConfig | None = None,
        on_step: Callable[[int], None] | None = None,
    ) -> Tensor:
        """(B, C, T): waveforms in [-1, 1] at the target's rate, or log-mel.

        A sample depends on its seed, text and condition alone, not on the others of its batch. `condition` is the
        lower stage's waveform (B, T) at this stage's condition rate, or the mel (B, 80, F). Guidance leads away from
        `negatives`, where they are not empty, instead of from the absence of text.
        """
        config, settings = self.config, sampling or self.config.sampling
        weight = next(self.model.parameters())
        device = weight.device
        schedule = noise_schedule(config.noise)
        given: dict[str, Tensor] = {}
        known: Tensor | None = None
        if condition is not None:
            known = condition.to(device) if config.uses_mel else waveform_condition(condition.to(device), config)
            value = network_condition(known, config)
            if config.unet.augmentation_embedding:
                level_B = torch.full((len(seeds),), settings.augmentation_t, device=device)
                given["augmentation_t_B"] = level_B
                if settings.augmentation_t > 0:
                    keys = [hash_u64("augmentation", config.stage, seed) >> 1 for seed in seeds]
                    noise = batch_noise(keys, tuple(value.shape[1:]), device)()
                    value = add_noise(value, level_B, noise, schedule)
            given["aligned_BCT" if config.uses_mel else "stacked_BCT"] = value
        if config.uses_text and texts is not None and text_source is not None:
            given["text_BLW"], given["text_mask_BL"] = text_source.batch(texts, device)
        away: dict[str, Tensor] = {}
        if given.get("text_BLW") is not None and text_source is not None and any(negatives or ()):
            away["text_BLW"], away["text_mask_BL"] = text_source.batch(negatives or (), device)
            away["keep_text_B"] = torch.tensor([bool(text) for text in negatives or ()], device=device)
        shape = (config.unet.signal_channels, config.length(seconds))
        keys = [hash_u64("sample", config.stage, seed) >> 1 for seed in seeds]
        draw_noise = batch_noise(keys, shape, device)
        times, x_1 = sampling_times(config.stage, settings, schedule), draw_noise()
        clip = clip_estimate(settings.clip, settings.clip_percentile, config.clip_limit)
        if settings.begins_at < 1 and known is not None and config.mel:
            begun_BCT = to_diffused(invert_mel(known, config.mel)[:, None], known, config)
            x_1 = add_noise(begun_BCT, torch.full((len(seeds),), settings.begins_at, device=device), x_1, schedule)
        if held is not None and (held.keep_s or condition is None):
            target_BCT = held.target(config, seconds).to(device).expand(len(seeds), -1, -1)
            diffused_BCT = to_diffused(target_BCT, known, config)
            if held.keep_s:
                clip = _held_estimate(clip, diffused_BCT, held.mask(config, seconds).to(device))
            if held.strength < 1 and condition is None:
                x_1 = add_noise(diffused_BCT, torch.full((len(seeds),), held.strength, device=device), x_1, schedule)
                times = times_until(held.strength, times)
        mixed = device.type == "cuda" and weight.dtype == torch.float32  # a model still in training
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=mixed):
            clean_BCT = sample(
                self.denoiser(given, settings.guidance, away, between=(settings.guided_from, settings.guided_to)),
                x_1,
                times,
                schedule,
                draw_noise=draw_noise,
                gamma=settings.gamma,
                walks=settings.walks,
                solver=settings.solver,
                clip=clip,
                on_step=on_step,
            )
        made_BCT = from_diffused(clean_BCT, known, config)
        if config.uses_mel and config.mel and known is not None and settings.mel_fits:
            made_BCT = fit_mel(made_BCT[:, 0], known, config.mel, settings.mel_fits)[:, None]
        return held.join(made_BCT, config, seconds) if held is not None and held.keep_s else made_BCT

    def calls(self, sampling: SamplingConfig) -> int:
        """How often the network is asked for one batch."""
        times = sampling_times(self.config.stage, sampling, noise_schedule(self.config.noise))
        return calls(sampling.solver, len(times) - 1, sampling.walks)

    def denoiser(
        self,
        given: dict[str, Tensor],
        guidance: float,
        away: dict[str, Tensor] | None = None,
        *,
        between: tuple[float, float] = (0.0, 1.0),
    ) -> Denoiser:
        """The network with its conditions; with text and a guidance other than 1, both halves in one pass.

        `away` has what the second half is told instead of nothing; guidance leads in the times `between`.
        """
        schedule = noise_schedule(self.config.noise)
        network: Callable[..., Tensor] = self.graphs or self.model

        def noise(x: Tensor, t_B: Tensor, predicted: Tensor) -> Tensor:
            return noise_from(self.config.predicts, x, predicted, t_B, schedule)

        def plain(x: Tensor, t_B: Tensor) -> Tensor:
            return noise(x, t_B, network(x, t_B, **given).float())

        def pair(x: Tensor, t_B: Tensor) -> tuple[Tensor, Tensor]:
            if away:
                told = {**given, "keep_text_B": torch.ones_like(away["keep_text_B"])}
                twice = {name: torch.cat([value, away.get(name, value)]) for name, value in told.items()}
                both = network(torch.cat([x, x]), torch.cat([t_B, t_B]), **twice).float()
            else:
                both = network(x, t_B, guidance_pair=True, **given).float()
            with_text, without_text = both.chunk(2)
            return noise(x, t_B, with_text), noise(x, t_B, without_text)

        if "text_BLW" not in given or guidance == 1:
            return plain
        return guided(pair, guidance, plain=plain if between != (0.0, 1.0) else None, between=between)


def _held_estimate(
    clip: Callable[[Tensor], Tensor] | None, target_BCT: Tensor, mask_T: Tensor
) -> Callable[[Tensor], Tensor]:
    """The clean estimate, clipped, with the target where it stands."""
    return lambda x: torch.where(mask_T, target_BCT.to(x.dtype), x if clip is None else clip(x))
