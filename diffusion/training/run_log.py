"""What a run says while it trains: a line a step in a file, TensorBoard, and a progress bar or plain lines."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from diffusion.generation.wav import mono_mix
from diffusion.model.config import TrainConfig
from pipeline.errors import RunFailed

__all__ = ["RunLog", "read_losses"]

_MUCH_WAITING = 0.1


def read_losses(out: Path) -> list[dict[str, float]]:
    """Every step of a run: step, loss, gradient norm, learning rate."""
    path = out / "losses.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


class RunLog:
    """Only the main process writes. A resumed run drops the lines of steps that it will take again."""

    def __init__(self, out: Path, accelerator: Any, first_step: int, config: TrainConfig) -> None:
        self._out, self._accelerator, self._config = out, accelerator, config
        self._main = bool(accelerator.is_main_process)
        self._recent: deque[tuple[float, float, float]] = deque(maxlen=50)
        self._file: IO[str] | None = None
        self._bar: Any = None
        if not self._main:
            return
        try:
            out.mkdir(parents=True, exist_ok=True)
            kept = _whole_lines(out / "losses.jsonl", first_step)
            temporary = out / ".tmp-losses.jsonl"
            temporary.write_text("".join(kept))
            temporary.replace(out / "losses.jsonl")
            about = json.dumps(config.model_dump(mode="json"), indent=1, sort_keys=True)
            (out / "config.json").write_text(about + "\n")
        except OSError as error:
            raise _unwritable(out, error) from error
        self._first_step = first_step

    def __enter__(self) -> RunLog:
        self._start_trackers()
        if self._main:
            self._file = (self._out / "losses.jsonl").open("a", buffering=1)
            if sys.stderr.isatty():
                self._bar = _progress_bar()
                self._bar.start()
                self._task = self._bar.add_task("", total=self._config.total_steps, completed=self._first_step, say="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._file is not None:
            self._file.close()
        self._accelerator.end_training()

    def step(self, step: int, loss: float, norm: float, lr: float, seconds: float, waited_s: float = 0.0) -> None:
        """`waited_s` of the step's `seconds` the model stood idle because no batch was ready."""
        if not self._main or self._file is None:
            return
        try:
            self._file.write(json.dumps({"step": step, "loss": loss, "norm": norm, "lr": lr}) + "\n")
        except OSError as error:
            raise _unwritable(self._out / "losses.jsonl", error) from error
        self._recent.append((loss, seconds, waited_s))
        losses, spent, idle = (sum(column) for column in zip(*self._recent, strict=True))
        mean, speed = losses / len(self._recent), self._config.global_batch * len(self._recent) / max(spent, 1e-9)
        say = f"loss {mean:.4f}  {speed:.1f} samples/s"
        if idle > _MUCH_WAITING * spent:
            say += f"  {idle / spent:.0%} waiting for data (--loader-threads {self._config.loader_threads})"
        if self._bar is not None:
            self._bar.update(self._task, completed=step + 1, say=say)
        if (step + 1) % self._config.log_every == 0:
            values = {"loss": mean, "gradient_norm": norm, "learning_rate": lr, "samples_per_s": speed,
                      "waiting_for_data": idle / max(spent, 1e-9)}  # fmt: skip
            self._accelerator.log(values, step=step + 1)
            if self._bar is None:
                print(f"{self._config.stage.stage}: step {step + 1}/{self._config.total_steps}  {say}", flush=True)

    def _start_trackers(self) -> None:
        about = {"run": self._config.run, "stage": self._config.stage.stage}
        options = {"wandb": {"dir": str(self._out), "name": f"{about['run']}/{about['stage']}"}}
        try:
            self._accelerator.init_trackers("cratedig", config=about, init_kwargs=options)
        except Exception as error:
            if type(error).__module__.split(".")[0] != "wandb":
                raise
            raise RunFailed(
                f"Weights & Biases cannot start ({error}); log in first: wandb login, or log to files: "
                "WANDB_MODE=offline"
            ) from error

    def held_out(self, step: int, losses: Mapping[str, float], by_level: Mapping[str, Sequence[float]]) -> None:
        """Of the model and its average, whole and in tenths of the noise level: a line in held-out.jsonl."""
        values = {f"held_out_loss/{name}": value for name, value in losses.items()}
        for name, levels in by_level.items():
            values |= {f"held_out_loss_by_level/{name}/{i / 10:.1f}": value for i, value in enumerate(levels)}
        self._accelerator.log(values, step=step)
        self._line("held-out.jsonl", {"step": step, **losses, "by_level": {k: list(v) for k, v in by_level.items()}})

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """What clips generated at this step were found to be worth: a line in scores.jsonl."""
        self._accelerator.log({f"score/{name}": value for name, value in values.items()}, step=step)
        self._line("scores.jsonl", {"step": step, **values})

    def _line(self, name: str, value: Mapping[str, Any]) -> None:
        """One more line, after those of earlier steps: a resumed run says again what it does again."""
        if not self._main:
            return
        path = self._out / name
        try:
            temporary = self._out / f".tmp-{name}"
            temporary.write_text("".join([*_whole_lines(path, int(value["step"])), json.dumps(value) + "\n"]))
            temporary.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from error

    def audio(self, name: str, samples: Any, sample_rate_hz: int, step: int) -> None:
        """A demo, to be heard in TensorBoard, whose sound is mono."""
        samples = mono_mix(samples)
        for tracker in self._accelerator.trackers if self._main else []:
            if tracker.name == "tensorboard":
                tracker.writer.add_audio(name, samples, step, sample_rate=sample_rate_hz)
            elif tracker.name == "wandb":
                from importlib import import_module  # not one of our dependencies

                tracker.log({name: import_module("wandb").Audio(samples, sample_rate=sample_rate_hz)}, step=step)

    def failed(self, step: int, loss: float, norm: float, clip_ids: list[str]) -> None:
        if self._main:
            report = {"step": step, "loss": repr(loss), "gradient_norm": repr(norm), "clip_ids": clip_ids}
            (self._out / "failed-step.json").write_text(json.dumps(report, indent=1) + "\n")


def _unwritable(path: Path, error: OSError) -> RunFailed:
    return RunFailed(
        f"{path} cannot be written ({error.strerror}); finished checkpoints are safe: free some space, or give "
        "another --out, and run the same command again"
    )


def _whole_lines(path: Path, before_step: int) -> list[str]:
    """Lines of earlier steps; a killed run may have left a part of one."""
    if not path.is_file():
        return []
    lines = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("}\n")]
    return [line for line in lines if json.loads(line)["step"] < before_step]


def _progress_bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[say]}"), TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
