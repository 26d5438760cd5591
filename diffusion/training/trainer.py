"""Training one stage. A step is a function of its number, the configuration and the data: see `step_positions`.

B batch, C channels, T time.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from diffusion.data.batch import Batch, make_batch, more_draws
from diffusion.data.example import Example
from diffusion.data.loader import ClipLoader, Waited, one_ahead
from diffusion.data.text_source import TextSource
from diffusion.model.checkpoint import Checkpoint, save_checkpoint
from diffusion.model.config import TrainConfig
from diffusion.model.kernels import compile_where_it_works, fast_kernels, fast_weights, not_compiled
from diffusion.model.lora import add_lora
from diffusion.model.unet import UNet
from diffusion.training.distill import Distillation
from diffusion.training.losses import SaysNothing, loss_of, losses_by_level
from diffusion.training.run_log import RunLog
from diffusion.training.stopping import Stopped, signals
from pipeline.errors import RunFailed
from pipeline.ids import hash_u64

__all__ = ["Trainer", "step_positions"]

_NAMED_CLIPS = 16
_PATIENCE = timedelta(hours=2)
"""How long the other ranks wait while the main process writes a checkpoint and samples demos."""


def step_positions(step: int, config: TrainConfig, rank: int, world: int) -> list[list[int]]:
    """The stream positions that this rank takes at a step, one list for each accumulated batch.

    All ranks together take [step x G, (step + 1) x G): the same clips whatever the number of ranks. A rank takes
    every world-th of them, which are those of its lanes (`diffusion.data.order`).
    """
    first = step * config.global_batch
    mine = range(first + (rank - first) % world, first + config.global_batch, world)
    return [list(mine[i : i + config.device_batch]) for i in range(0, len(mine), config.device_batch)]


class Trainer:
    """Model, optimizer, average and data of one stage, from step 0 or from a checkpoint."""

    def __init__(
        self,
        config: TrainConfig,
        loader: ClipLoader,
        held_out: ClipLoader,
        text: TextSource | None,
        out: Path,
        *,
        data: list[dict[str, Any]],
        resume: Checkpoint | None = None,
        start: Mapping[str, Tensor] | None = None,
        cpu: bool = False,
        wandb: bool = False,
    ) -> None:
        """`start`: weights to begin from, where nothing is resumed."""
        from accelerate import Accelerator, InitProcessGroupKwargs

        self.config, self.stage = config, config.stage
        self.loader, self.held_out, self.text = loader, held_out, text
        self.out, self.data = out, data
        trackers = ["tensorboard", *(["wandb"] if wandb else [])]
        self.accelerator = Accelerator(
            cpu=cpu,
            mixed_precision="bf16" if config.precision == "bf16" else "no",
            gradient_accumulation_steps=1,  # replaced below, when the number of ranks is known
            log_with=trackers,
            project_dir=str(out),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
        )
        world = self.accelerator.num_processes
        if config.global_batch % (config.device_batch * world):
            raise RunFailed(
                f"a global batch of {config.global_batch} cannot be shared by {world} processes of device batch "
                f"{config.device_batch}; make it a multiple of {config.device_batch * world}"
            )
        if loader.order.lanes % world:
            raise RunFailed(f"the data was dealt into {loader.order.lanes} lanes, {world} processes cannot share them")
        self.accelerator.gradient_accumulation_steps = config.global_batch // (config.device_batch * world)
        torch.manual_seed(config.seed)
        model = UNet(self.stage.unet, gradient_checkpointing=config.gradient_checkpointing)
        if start is not None:
            model.load_state_dict(start)
        if config.lora_rank:
            add_lora(model, config.lora_rank)
        fast_weights(model, self.accelerator.device)
        self.distillation: Distillation | None = None
        if config.distill is not None:
            teacher = config.stage.model_copy(update={"predicts": config.distill.teacher_predicts})
            self.distillation = Distillation(model, teacher, config.stage, config.distill, config.total_steps)
        self.ema = AveragedModel(model, multi_avg_fn=_average(config))
        self.step = 0
        if resume is not None:
            self.step = resume.step
            model.load_state_dict(resume.tensors("model"))
            self.ema.module.load_state_dict(resume.tensors("ema"))
            begun = config.distill.round_at(resume.step, config.total_steps)[1] if config.distill else 0
            self.ema.n_averaged.fill_(resume.step - begun)
            if self.distillation is not None:
                self.distillation.resume(resume.step, resume.tensors("teacher"))
        optimizer = torch.optim.Adam(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=config.peak_lr,
            betas=config.adam_betas,
            eps=config.adam_eps,
            weight_decay=config.weight_decay,
            fused=self.accelerator.device.type == "cuda",
        )
        fast_kernels(self.accelerator.device)
        if config.compile:
            compile_where_it_works(model, self.accelerator.device, say=self.accelerator.print)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.ema.to(self.accelerator.device)
        if self.distillation is not None:
            self.distillation.teacher.to(self.accelerator.device)
        if resume is not None:
            self._load_optimizer(resume.tensors("optimizer"))
        self.log = RunLog(out, self.accelerator, self.step, config)

    @property
    def plain_model(self) -> UNet:
        return cast(UNet, self.accelerator.unwrap_model(self.model, keep_torch_compile=False))

    @property
    def averaged_model(self) -> UNet:
        return cast(UNet, self.ema.module)

    def run(self, *, on_checkpoint: Callable[[Trainer], None] = lambda _: None) -> None:
        """Train to the configuration's last step. Raises Stopped on SIGINT or SIGTERM, RunFailed on a bad loss."""
        config, rank, world = self.config, self.accelerator.process_index, self.accelerator.num_processes
        positions = (
            p for step in range(self.step, config.total_steps) for p in step_positions(step, config, rank, world)
        )
        with (
            signals() as stop,
            self.log,
            contextlib.closing(one_ahead(self.loader.batches(positions), self._train_batch)) as made,
        ):
            batches = Waited(made)
            while self.step < config.total_steps:
                started = time.perf_counter()
                loss, norm = self._step(batches)
                taken = time.perf_counter() - started
                self.log.step(self.step, loss, norm, config.learning_rate(self.step), taken, batches.waited_s())
                self.step += 1
                if self.distillation is not None and self.distillation.follow(
                    self.step, self.averaged_model.state_dict()
                ):
                    self.ema.n_averaged.zero_()
                stopped = self._any(stop.signal > 0)
                if stopped or self.step == config.total_steps or self.step % config.checkpoint_every == 0:
                    with not_compiled() if config.compile else contextlib.nullcontext():
                        self.save()
                        on_checkpoint(self)
                if stopped and self.step < config.total_steps:
                    raise Stopped(stop.signal or signal.SIGTERM)  # or another rank's

    def save(self) -> None:
        """Losses of the held-out clips, then the checkpoint. Only the main process writes."""
        held_out = {
            "model": self.held_out_loss(self.model),
            "ema": self.held_out_loss(self.ema),
            "start": self.held_out_loss(SaysNothing()),  # the exit convolution begins at zero
            "zero": self.held_out_loss(SaysNothing(), predicts="noise"),
        }
        self.log.held_out(self.step, held_out, {"model": self.by_level(self.model), "ema": self.by_level(self.ema)})
        if self.accelerator.is_main_process:
            save_checkpoint(
                self.out / "checkpoints",
                self.step,
                self.config,
                {
                    "model": self.plain_model.state_dict(),
                    "ema": self.averaged_model.state_dict(),
                    "optimizer": self._optimizer_tensors(),
                    **({"teacher": self.distillation.teacher.state_dict()} if self.distillation else {}),
                },
                text_encoder=self.text.encoder.card.as_dict() if self.text else None,
                data=self.data,
                keep=self.config.keep_checkpoints,
                extra={"held_out_loss": held_out},
            )
        self.accelerator.wait_for_everyone()

    @torch.no_grad()
    def held_out_loss(self, model: nn.Module, batches: int = 4, *, predicts: str | None = None) -> float:
        """Mean error of the noise, over the same clips, times and noise each time, so that two checkpoints can be
        compared. `predicts` is what `model` gives, where it is not what the stage's network gives."""
        size = min(self.config.device_batch, 8)
        stage = self.stage.model_copy(update={"predicts": predicts or self.stage.predicts})
        training = model.training
        model.eval()
        total = 0.0
        for b in range(batches):
            batch = self._batch([self.held_out.example(b * size + i) for i in range(size)])
            with self.accelerator.autocast():  # the average is judged in the model's precision
                total += float(loss_of(model, batch, stage, of_noise=True))
        model.train(training)
        return total / batches

    def by_level(self, model: nn.Module) -> list[float]:
        """The same over the first of those clips, in tenths of the noise level."""
        training = model.training
        model.eval()
        size = min(self.config.device_batch, 8)
        batch = self._batch([self.held_out.example(i) for i in range(size)])
        with self.accelerator.autocast():
            found = losses_by_level(model, batch, self.stage)
        model.train(training)
        return found

    def _step(self, batches: Iterator[Batch]) -> tuple[float, float]:
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate(self.step)
        losses, clip_ids = [], []
        norm: Tensor | float = 0.0
        for _ in range(self.accelerator.gradient_accumulation_steps):
            batch = next(batches)
            clip_ids += batch.clip_ids
            with self.accelerator.accumulate(self.model):
                loss = self._loss(batch)
                self.accelerator.backward(loss)
                losses.append(loss.detach())
                if self.accelerator.sync_gradients:
                    norm = self.accelerator.clip_grad_norm_(self.model.parameters(), config.gradient_clip)
                    mean = cast(Tensor, self.accelerator.reduce(torch.stack(losses).mean(), reduction="mean"))
                    self._refuse_bad(float(mean), float(norm), clip_ids)
                self.optimizer.step()
                self.optimizer.zero_grad()
        self.ema.update_parameters(self.plain_model)
        return float(mean), float(norm)

    def _loss(self, batch: Batch) -> Tensor:
        if self.distillation is not None:
            return self.distillation.loss(self.model, batch, self.step)
        return loss_of(self.model, batch, self.stage)

    def _refuse_bad(self, loss: float, norm: float, clip_ids: list[str]) -> None:
        """Before the optimizer is touched: the last checkpoint stays good."""
        if math.isfinite(loss) and math.isfinite(norm) and loss <= self.config.loss_limit:
            return
        from diffusion.model.checkpoint import latest_checkpoint

        last = latest_checkpoint(self.out / "checkpoints")
        named = ", ".join(clip_ids[:_NAMED_CLIPS]) + (", ..." if len(clip_ids) > _NAMED_CLIPS else "")
        self.log.failed(self.step, loss, norm, clip_ids)
        raise RunFailed(
            f"step {self.step}: loss {loss:g}, gradient norm {norm:g}; expected finite and a loss below "
            f"{self.config.loss_limit:g}. Clips of this batch: {named} (all in {self.out / 'failed-step.json'}). "
            f"Last good checkpoint: {last or 'none yet'}. Lower --lr, or leave these clips out"
        )

    def _batch(self, examples: Sequence[Example]) -> Batch:
        return make_batch(examples, self.stage, self.text, self.accelerator.device)

    def _train_batch(self, examples: Sequence[Example]) -> Batch:
        seed = hash_u64("draws", self.config.seed, *(str(example.t) for example in examples)) >> 1
        return more_draws(self._batch(examples), self.config.draws, seed)

    def _any(self, flag: bool) -> bool:
        """Whether any rank raised the flag, so that all stop at the same step."""
        if self.accelerator.num_processes == 1:
            return flag
        raised = torch.tensor(float(flag), device=self.accelerator.device)
        return bool(cast(Tensor, self.accelerator.reduce(raised, reduction="sum")) > 0)

    def _optimizer_tensors(self) -> dict[str, Tensor]:
        state = self.optimizer.state
        return {
            f"{moment}.{name}": state[parameter][moment]
            for name, parameter in self.plain_model.named_parameters()
            for moment in ("exp_avg", "exp_avg_sq")
            if parameter in state
        }

    def _load_optimizer(self, tensors: dict[str, Tensor]) -> None:
        plain = self.optimizer.optimizer
        fused = plain.defaults["fused"]
        for name, parameter in self.plain_model.named_parameters():
            if f"exp_avg.{name}" not in tensors:
                continue
            plain.state[parameter] = {
                "step": torch.tensor(float(self.step), device=parameter.device if fused else "cpu"),
                **{
                    m: torch.empty_like(parameter).copy_(tensors[f"{m}.{name}"])  # laid out as the parameter is
                    for m in ("exp_avg", "exp_avg_sq")
                },
            }


def _average(config: TrainConfig) -> Callable[[Any, Any, Any], None]:
    def update(averaged: list[Tensor], current: list[Tensor], updates: Tensor | int) -> None:
        decay = config.ema_decay
        if config.ema_warmup:
            decay = min(decay, (1 + int(updates)) / (10 + int(updates)))
        torch._foreach_lerp_(averaged, current, 1 - decay)

    return torch.no_grad()(update)
