"""Training of the bundled model: multi-positive contrastive loss on captions written anew at each step.

B windows, C captions (two a window), D embedding, N facts.

A caption's positives are all windows of the batch for which every fact it states holds. Taking only its own window as
the positive teaches the model that other slow piano pieces are not slow piano pieces; a trial then had .35 of the facts
in its top captions true, against .98.
"""

from __future__ import annotations

import json
import math
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from labeling.recipe.training.adapt import in_tone_of, moments_apart, same_facts, same_track
from labeling.recipe.training.augment import augment
from labeling.recipe.training.data import Shards
from labeling.recipe.training.model import build_model, continue_model, multi_hot, save_model, set_input_statistics
from labeling.recipe.training.recorded_windows import RecordedWindows
from labeling.recipe.training.teacher import Teacher
from labeling.recipe.training.texts import CaptionWriters
from labeling.recipe.training.tokenizer import save_processor
from pipeline.errors import BadInput
from vocab.grammar.lexicon import FACTS

__all__ = ["TrainConfig", "soft_info_nce", "train"]

_STATISTICS_WINDOWS = 400


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything that determines the weights, but for the data."""

    steps: int = 4000
    batch: int = 48
    learning_rate: float = 1.3e-3
    weight_decay: float = 0.05
    warmup_steps: int = 150
    tag_loss_weight: float = 1.0
    """Of the auxiliary head that says each window's facts; it is thrown away at the end."""
    ramp: float = 0.4
    """Share of the run over which augmentation goes from 5 % to all of the windows."""
    average: float = 0.998
    """Decay of the running average of the weights, which is what is shipped."""
    unknown_share: float = 0.2
    """Of words that say nothing, replaced by the unknown token."""
    seed: int = 0
    recorded_tracks: int = 0
    """Tracks of unlabelled recordings a step, two windows of each; the four that follow are about them."""
    tone_share: float = 0.0
    """Of composed windows, how many go part of the way towards the tone of a recording."""
    same_track_weight: float = 0.0
    same_facts_weight: float = 0.0
    moments_weight: float = 0.0
    teacher_weight: float = 0.0
    """Of the sentence encoder's geometry, where there is a teacher."""


def soft_info_nce(
    captions_CD: torch.Tensor, windows_BD: torch.Tensor, positive_CB: torch.Tensor, scale_t: Any, scale_a: Any
) -> torch.Tensor:
    """Cross-entropy both ways, the target spread evenly over a row's positives; rows without any don't count."""
    similarity_CB = captions_CD @ windows_BD.T

    def one_way(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        count = positive.sum(1, keepdim=True)
        loss = -(positive / count.clamp_min(1) * torch.log_softmax(logits, 1)).sum(1)
        return loss.sum() / (count > 0).sum().clamp_min(1)

    to_audio = one_way(similarity_CB * scale_t.exp(), positive_CB)
    to_text = one_way(similarity_CB.T * scale_a.exp(), positive_CB.T)
    return (to_audio + to_text) / 2


class _Trainer:
    """One run: model, optimiser, and what a checkpoint holds."""

    def __init__(
        self,
        config: TrainConfig,
        data: Shards,
        out: Path,
        init: Path | None,
        device: str,
        writers: int = 0,
        recorded: RecordedWindows | None = None,
        teacher: Path | None = None,
    ) -> None:
        self.config, self.data, self.out, self.device, self.recorded = config, data, out, device, recorded
        torch.manual_seed(config.seed)
        out.mkdir(parents=True, exist_ok=True)
        tokenizer = save_processor(out)
        self.texts = CaptionWriters(config.unknown_share, processes=writers)
        self.teacher = Teacher(teacher, tokenizer, device) if teacher else None
        self.index = {fact: i for i, fact in enumerate(FACTS)}
        self.ahead: deque[tuple[NDArray[np.int64], NDArray[np.float32], Any]] = deque()
        self.model = self._model(tokenizer, init).to(device).train()
        self.norm = self.model.audio_model.audio_encoder.batch_norm.requires_grad_(False)
        self.tags = torch.nn.Linear(self.model.config.audio_config.hidden_size, len(FACTS)).to(device)
        if init and (init / "tags.pt").is_file():
            self.tags.load_state_dict(torch.load(init / "tags.pt", weights_only=True))
        named = [*self.model.named_parameters(), *self.tags.named_parameters()]
        named = [(name, p) for name, p in named if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": [p for _, p in named if p.ndim >= 2], "weight_decay": config.weight_decay},
                {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        self.parameters = [p for _, p in named]
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.step, self.recent = 0, {"loss": 0.0, "tags": 0.0, "recorded": 0.0}

    def _model(self, tokenizer: Any, init: Path | None) -> Any:
        if init is not None:
            return continue_model(init, tokenizer)
        model = build_model(len(tokenizer))
        picks = np.random.default_rng(self.config.seed).choice(
            len(self.data), size=min(_STATISTICS_WINDOWS, len(self.data)), replace=False
        )
        mels = torch.from_numpy(self.data.mels(picks))
        set_input_statistics(model, augment(mels, torch.Generator().manual_seed(self.config.seed)))
        return model

    def learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to 3 %."""
        c = self.config
        shape = 0.5 * (1 + math.cos(math.pi * min(1.0, self.step / c.steps))) * 0.97 + 0.03
        return c.learning_rate * min(1.0, (self.step + 1) / c.warmup_steps) * shape

    def take_step(self) -> None:
        c = self.config
        step_seed = self._seed(self.step)
        indices, hot_BN, (tokens, stated_CN) = self._next_batch()
        mels_BFM = self.data.mels_on(indices, self.device)
        has_BN = torch.from_numpy(hot_BN).to(self.device)
        drawn = np.random.default_rng((2, step_seed))
        recorded_2TFM = self.recorded.pairs(c.recorded_tracks, drawn) if self.recorded else None
        if recorded_2TFM is not None:
            mels_BFM = self._in_tone(mels_BFM, recorded_2TFM.flatten(0, 1), step_seed)
        mels_BFM = self._augmented(mels_BFM, step_seed)
        stated_CN = stated_CN.to(self.device)
        positive_CB = (stated_CN @ has_BN.T >= stated_CN.sum(1, keepdim=True) - 0.5).float()
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.norm.eval()  # its statistics stay as they were set
        count = len(mels_BFM)
        if recorded_2TFM is not None:
            both = augment(recorded_2TFM.flatten(0, 1), torch.Generator().manual_seed(step_seed + 1))
            mels_BFM = torch.cat([mels_BFM, both])
        with torch.autocast(self.device, dtype=torch.bfloat16):
            hidden = self.model.audio_model(input_features=mels_BFM[:, None]).pooler_output
            windows_BD = self.model.audio_projection(hidden)
            tokens = {k: v.to(self.device) for k, v in tokens.items()}
            captions_CD = self.model.text_projection(self.model.text_model(**tokens).pooler_output)
            tags_BN = self.tags(hidden)
            taught = self.teacher.loss(self.model, c.batch, step_seed) if self.teacher else 0.0
        adapted = self._adapted(windows_BD.float(), tags_BN.float(), count)
        windows_BD, tags_BN = windows_BD[:count], tags_BN[:count]
        contrast = soft_info_nce(
            torch.nn.functional.normalize(captions_CD.float(), dim=-1),
            torch.nn.functional.normalize(windows_BD.float(), dim=-1),
            positive_CB,
            self.model.logit_scale_t,
            self.model.logit_scale_a,
        )
        tag_loss = torch.nn.functional.binary_cross_entropy_with_logits(tags_BN.float(), has_BN, reduction="none")
        tag_loss = tag_loss.sum(1).mean() / 6
        (contrast + c.tag_loss_weight * tag_loss + adapted + c.teacher_weight * taught).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._after_step(float(contrast.detach()), float(tag_loss.detach()), float(adapted.detach()))

    def _in_tone(self, mels_BFM: torch.Tensor, recorded_XFM: torch.Tensor, step_seed: int) -> torch.Tensor:
        random = torch.Generator().manual_seed(step_seed + 2)
        whose = torch.randint(len(recorded_XFM), (len(mels_BFM),), generator=random).to(self.device)
        share = torch.rand(len(mels_BFM), generator=random)
        share *= torch.rand(len(mels_BFM), generator=random) < self.config.tone_share
        return in_tone_of(mels_BFM, recorded_XFM[whose], share.to(self.device))

    def _adapted(self, windows_XD: torch.Tensor, tags_XN: torch.Tensor, count: int) -> torch.Tensor:
        """What the recordings of a step, which follow its `count` composed windows, add to the loss."""
        c, total = self.config, torch.zeros((), device=self.device)
        if len(windows_XD) == count:
            return total
        unit_XD = torch.nn.functional.normalize(windows_XD, dim=-1)
        recorded_2TD = unit_XD[count:].reshape(2, -1, unit_XD.shape[1])
        if c.same_track_weight:
            total = total + c.same_track_weight * same_track(recorded_2TD)
        if c.same_facts_weight:
            total = total + c.same_facts_weight * same_facts(
                tags_XN[count:].reshape(2, -1, tags_XN.shape[1]), tags_XN[:count]
            )
        if c.moments_weight:
            total = total + c.moments_weight * moments_apart(unit_XD[:count], unit_XD[count:])
        return total

    def _seed(self, step: int) -> int:
        return (self.config.seed * 1_000_003 + step) % 2**63

    def _next_batch(self) -> tuple[NDArray[np.int64], NDArray[np.float32], Any]:
        """The step's windows, their facts, and captions; other processes write those of the steps to come."""
        while len(self.ahead) <= self.texts.lead:
            step = self.step + len(self.ahead)
            chosen = np.random.default_rng((self.config.seed, step)).choice(
                len(self.data), size=self.config.batch, replace=False
            )
            facts = [self.data.facts[i] for i in chosen]
            hot_BN = multi_hot(facts, self.index)
            self.ahead.append((chosen, hot_BN, self.texts.ask(facts, hot_BN, self._seed(step))))
        chosen, hot_BN, asked = self.ahead.popleft()
        return chosen, hot_BN, self.texts.answer(asked)

    def _augmented(self, mels_BFM: torch.Tensor, step_seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(step_seed)
        share = min(1.0, 0.05 + self.step / (self.config.steps * self.config.ramp))
        chosen = (torch.rand(len(mels_BFM), generator=generator) < share).to(self.device)
        return torch.where(chosen[:, None, None], augment(mels_BFM, generator), mels_BFM)

    @torch.no_grad()
    def _after_step(self, contrast: float, tag_loss: float, adapted: float) -> None:
        self.model.logit_scale_a.clamp_(0, 4.2)
        self.model.logit_scale_t.clamp_(0, 4.2)
        self.step += 1
        decay = min(self.config.average, (1 + self.step) / (20 + self.step))
        now = self.model.state_dict()
        names = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.average[n] for n in names], [now[n] for n in names], 1 - decay)
        weight = 1.0 if self.step == 1 else 0.03
        for name, value in (("loss", contrast), ("tags", tag_loss), ("recorded", adapted)):
            self.recent[name] += weight * (value - self.recent[name])

    # --- files

    @property
    def _checkpoint(self) -> Path:
        return self.out / "checkpoint.pt"

    def save_checkpoint(self) -> None:
        """Everything needed to go on; tensors only, so that loading it runs no code."""
        temporary = self._checkpoint.with_suffix(".tmp")
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": self.average,
                "tags": self.tags.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "recent": self.recent,
            },
            temporary,
        )
        temporary.replace(self._checkpoint)

    def resume(self) -> bool:
        """Goes on from a checkpoint of the same configuration, if there is one."""
        about = self.out / "train.json"
        if not self._checkpoint.is_file():
            about.write_text(json.dumps(asdict(self.config), indent=2) + "\n")
            return False
        if json.loads(about.read_text()) != asdict(self.config):
            raise BadInput(f"{self.out} holds a run with other settings; delete it or give another folder")
        state = torch.load(self._checkpoint, weights_only=True, map_location=self.device)
        self.model.load_state_dict(state["model"])
        self.tags.load_state_dict(state["tags"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average, self.step, self.recent = state["average"], int(state["step"]), state["recent"]
        return True

    def save(self) -> None:
        """The averaged weights as a model folder."""
        save_model({k: v.cpu() for k, v in self.average.items()}, self.model.config, self.out)
        torch.save(self.tags.state_dict(), self.out / "tags.pt")


def train(
    config: TrainConfig,
    data_folder: Path,
    out: Path,
    *,
    init: Path | None = None,
    recorded: Path | None = None,
    teacher: Path | None = None,
    device: str = "auto",
    threads: int = 0,
    writers: int = 0,
    checkpoint_every_s: float = 180.0,
) -> None:
    """Trains to the end of `config.steps`, or goes on from where a run in `out` stopped.

    recorded: a folder of `write_recorded_windows`, which `config.recorded_tracks` and what follows it are about.
    teacher: a file of `write_teacher`, which `config.teacher_weight` is about.
    writers: processes that write captions beside a GPU; 0 writes them in this one.

    The bundled model: `python -m labeling.recipe train OUT --data SHARDS` (its card says steps, time and result).
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if threads:
        torch.set_num_threads(threads)
    if (recorded is None) != (config.recorded_tracks == 0):
        raise BadInput("recordings are for steps that take tracks of them: give both --recorded and --recorded-tracks")
    data = Shards(data_folder)
    windows = RecordedWindows(recorded, device) if recorded else None
    trainer = _Trainer(config, data, out, init, device, writers, windows, teacher)
    went_on = trainer.resume()
    print(
        f"{len(data)} windows, {'from step ' + str(trainer.step) if went_on else 'from the start'}, {device}",
        flush=True,
    )
    started, cpu, first, saved = time.monotonic(), time.process_time(), trainer.step, time.monotonic()
    while trainer.step < config.steps:
        trainer.take_step()
        if trainer.step % 50 == 0:
            data.refresh()
            seen = (trainer.step - first) * config.batch
            losses = " ".join(f"{name} {value:.3f}" for name, value in trainer.recent.items())
            print(
                f"step {trainer.step} of {config.steps}: {losses}, "
                f"{seen / (time.monotonic() - started):.0f} windows/s, "
                f"{1e3 * (time.process_time() - cpu) / seen:.1f} CPU ms a window, {len(data)} windows",
                flush=True,
            )
        if time.monotonic() - saved > checkpoint_every_s:
            trainer.save_checkpoint()
            trainer.save()
            saved = time.monotonic()
    trainer.save_checkpoint()
    trainer.save()
    trainer.texts.close()
