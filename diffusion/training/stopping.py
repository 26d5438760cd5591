"""How a run is stopped: by a signal, after the step, with a checkpoint."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Any

__all__ = ["Stopped", "signals"]


class Stopped(Exception):
    """Asked to stop by a signal; a checkpoint of the last step was written."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.signal = number


@dataclass
class _Flag:
    signal: int = 0
    """Its number; 0 where there was none."""


class signals:
    """Raises a flag on SIGINT and SIGTERM instead of tearing a step apart; a second SIGINT does."""

    def __enter__(self) -> _Flag:
        flag = _Flag()

        def raise_flag(number: int, frame: Any) -> None:
            if flag.signal and number == signal.SIGINT:
                raise KeyboardInterrupt
            flag.signal = number

        self._before = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, raise_flag)
        except ValueError:
            pass  # not the main thread: signals go elsewhere
        return flag

    def __exit__(self, *exception: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
