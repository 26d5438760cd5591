"""Requests for music: a queue with its limits, and one thread that samples them, like ones together.

A request is a prompt and up to four clips of it. Those that wait with the same length and the same settings are sampled
in one batch. A clip depends on its seed and words, not on who shares its batch.
"""

from __future__ import annotations

import shutil
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from diffusion.generation.cascade import Cascade, CascadeName, Generated
from diffusion.generation.wav import mono_mix, settings_of, write_wav
from diffusion.model.config import SolverName, StageName
from diffusion.process.invert import invert_mel
from pipeline.errors import BadInput, CratedigError

__all__ = ["Clip", "Full", "Request", "Studio", "Ticket"]

Picture = Callable[[NDArray[np.float32], int], bytes]
"""(samples, rate in Hz) -> PNG."""
State = Literal["waiting", "running", "done", "failed", "cancelled"]


class Full(CratedigError):
    """As many requests wait as may."""


class Request(BaseModel):
    """What is asked for. Steps, guidance and solver are as trained where they are not given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: str = Field(max_length=2_000)
    negative: str = Field(default="", max_length=2_000)
    seconds: float = Field(default=30.0, ge=0.1)
    seed: int = Field(default=0, ge=0, lt=1 << 62)
    """Of the first clip; then seed + 1, ..."""
    clips: int = Field(default=4, ge=1, le=4)
    cascade: CascadeName = "waveform"
    steps: int | None = Field(default=None, ge=1, le=2_000)
    guidance: float | None = Field(default=None, ge=0, le=100)
    solver: SolverName | None = None


@dataclass(frozen=True)
class Clip:
    """One result: each stage's sound and picture, in the order in which they were made."""

    seed: int
    wav: dict[StageName, Path]
    png: dict[StageName, Path]


@dataclass(eq=False)
class Ticket:
    """A request on its way."""

    id: str
    request: Request
    state: State = "waiting"
    stage: str = ""
    """The one at work."""
    done: int = 0
    total: int = 1
    """Calls of the models, of this request's batch."""
    error: str = ""
    clips: list[Clip] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "cancelled")


class Studio:
    """Cascades, a queue before them, and a folder of what was made lately."""

    def __init__(
        self,
        cascades: Mapping[CascadeName, Cascade],
        folder: Path,
        *,
        picture: Picture,
        batch: int,
        max_seconds: float = 30.0,
        max_waiting: int = 32,
        keep: int = 100,
    ) -> None:
        """batch: clips sampled at once. keep: how many ended requests can still be heard."""
        self.cascades, self.folder, self.max_seconds, self.max_waiting = cascades, folder, max_seconds, max_waiting
        self._picture, self._batch, self._keep = picture, batch, keep
        self._tickets: dict[str, Ticket] = {}
        self._waiting: list[Ticket] = []
        self._change = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="studio", daemon=True)
        self._thread.start()

    def submit(self, request: Request) -> Ticket:
        """Raises BadInput for what can't be made, Full where too many wait."""
        request = self._checked(request)
        with self._change:
            if len(self._waiting) >= self.max_waiting:
                raise Full(
                    f"{len(self._waiting)} requests wait already, at most {self.max_waiting} may; try again soon"
                )
            ticket = Ticket(uuid4().hex, request)
            self._tickets[ticket.id] = ticket
            self._waiting.append(ticket)
            self._change.notify_all()
        return ticket

    def ticket(self, key: str) -> Ticket | None:
        return self._tickets.get(key)

    def place(self, ticket: Ticket) -> int:
        """How many requests were there before and still wait."""
        with self._change:
            return self._waiting.index(ticket) if ticket in self._waiting else 0

    def cancel(self, ticket: Ticket) -> None:
        """What waits is taken out; what is being sampled ends at its next step, unless others share its batch."""
        with self._change:
            if not ticket.ended:
                ticket.state = "cancelled"
                if ticket in self._waiting:
                    self._waiting.remove(ticket)

    def close(self) -> None:
        with self._change:
            self._closed = True
            for ticket in self._tickets.values():
                ticket.state = ticket.state if ticket.ended else "cancelled"
            self._waiting.clear()
            self._change.notify_all()
        self._thread.join()

    def _checked(self, request: Request) -> Request:
        request = request.model_copy(
            update={
                "prompt": " ".join(request.prompt.split()),
                "negative": " ".join(request.negative.split()),
                "seconds": round(request.seconds, 2),
            }
        )
        cascade = self.cascades.get(request.cascade)
        if cascade is None:
            raise BadInput(f"no {request.cascade} cascade is served here; there is: {', '.join(self.cascades)}")
        if not request.prompt:
            raise BadInput('an empty prompt; say what to play, for example "slow solo piano"')
        if request.seconds > self.max_seconds:
            raise BadInput(f"{request.seconds:g} s are asked for, at most {self.max_seconds:g} s are made here")
        for name in ("prompt", "negative"):
            tokens = len(cascade.text.encoder.token_ends(getattr(request, name)))
            if tokens > cascade.text.limit:
                raise BadInput(f"the {name} has {tokens} tokens, the model reads {cascade.text.limit}; shorten it")
        sampling = cascade.sampling(_changes(request))
        guided = [sampling[s.config.stage].guidance != 1 for s in cascade.stages if s.config.uses_text]
        if request.negative and not any(guided):
            raise BadInput("a negative prompt does nothing with a guidance of 1; give more, for example 3")
        return request

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                batch = self._next_batch()
            try:
                self._make(batch)
            except _AllCancelled:
                pass
            except CratedigError as error:
                self._fail(batch, str(error))
            except Exception as error:  # the server lives on
                traceback.print_exc()
                self._fail(batch, f"a fault of the server, not of the request ({type(error).__name__}); see its log")
            self._forget()

    def _next_batch(self) -> list[Ticket]:
        """The oldest, and all that wait and are like it, as far as they fit."""
        first = self._waiting[0]
        batch: list[Ticket] = []
        clips = 0
        for ticket in self._waiting:
            like = _settings(ticket.request) == _settings(first.request)
            if like and (not batch or clips + ticket.request.clips <= self._batch):
                batch.append(ticket)
                clips += ticket.request.clips
        for ticket in batch:
            self._waiting.remove(ticket)
            ticket.state = "running"
        return batch

    def _make(self, batch: list[Ticket]) -> None:
        request = batch[0].request
        cascade = self.cascades[request.cascade]
        sampling = cascade.sampling(_changes(request))
        owners = [ticket for ticket in batch for _ in range(ticket.request.clips)]
        seeds = [ticket.request.seed + i for ticket in batch for i in range(ticket.request.clips)]
        calls = sum(stage.calls(sampling[stage.config.stage]) for stage in cascade.stages)
        for ticket in batch:
            ticket.total = calls * len(owners)

        def on_step(stage: StageName, clips: int) -> None:
            if all(ticket.ended for ticket in batch):
                raise _AllCancelled
            for ticket in batch:
                ticket.stage, ticket.done = stage, min(ticket.done + clips, ticket.total)

        made = cascade.generate(
            [ticket.request.prompt for ticket in owners], seeds, seconds=request.seconds, sampling=sampling,
            batch=self._batch, negatives=[ticket.request.negative for ticket in owners], on_step=on_step,
        )  # fmt: skip
        for ticket, result in zip(owners, made, strict=True):
            if not ticket.ended:
                about = settings_of(result, cascade, sampling, {"negative": ticket.request.negative})
                ticket.clips.append(self._write(ticket, cascade, result, about))
        with self._change:
            for ticket in batch:
                if not ticket.ended:
                    ticket.state = "done"

    def _write(self, ticket: Ticket, cascade: Cascade, result: Generated, about: Mapping[str, object]) -> Clip:
        """A stage that makes a mel is heard by what the mel gives without a model."""
        wav, png = {}, {}
        for stage in cascade.stages:
            name, rate = stage.config.stage, stage.config.target_rate_hz
            value = result.stages[name]
            audio, mel = value, stage.config.mel
            if stage.config.makes_mel and mel is not None:
                audio = invert_mel(torch.from_numpy(value)[None], mel)[0].numpy()
            wav[name] = self.folder / ticket.id / f"{result.seed}-{name}.wav"
            write_wav(wav[name], audio, rate, about)
            png[name] = wav[name].with_suffix(".png")
            png[name].write_bytes(self._picture(mono_mix(audio), rate))
        return Clip(result.seed, wav, png)

    def _fail(self, batch: list[Ticket], why: str) -> None:
        with self._change:
            for ticket in batch:
                if not ticket.ended:
                    ticket.state, ticket.error = "failed", why

    def _forget(self) -> None:
        """The oldest of what has ended, and its files; of what was cancelled there is nothing to hear."""
        with self._change:
            ended = [ticket for ticket in self._tickets.values() if ticket.ended]
            old = ended[: -self._keep] if len(ended) > self._keep else []
            for ticket in old:
                del self._tickets[ticket.id]
        for ticket in [*old, *(t for t in ended if t.state == "cancelled")]:
            shutil.rmtree(self.folder / ticket.id, ignore_errors=True)


class _AllCancelled(Exception):
    """Nobody waits for this batch any longer."""


def _settings(request: Request) -> tuple[object, ...]:
    return request.cascade, request.seconds, request.steps, request.guidance, request.solver


def _changes(request: Request) -> dict[str, dict[StageName | None, object]]:
    return {"steps": {None: request.steps}, "guidance": {None: request.guidance}, "solver": {None: request.solver}}
