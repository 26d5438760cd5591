"""Over how many threads a sum is split where bytes are fixed: a number that is said, never the machine's own; and
looking at many things at once, in order.

A product that a BLAS or torch shares out among threads adds in another order, and ends in other bits, than on one.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numpy as np
import threadpoolctl

__all__ = ["in_order", "one_blas_thread", "torch_threads"]

Item = TypeVar("Item")
Found = TypeVar("Found")
_turn = threading.RLock()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Around NumPy's matrix products, or as a decorator; about 10 us.

    A BLAS has one limit for the whole process: Python's threads take turns in these blocks, so that none is in one when
    another restores what was before.
    """
    with _turn, _blas().limit(limits=1):
        yield


@contextlib.contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """What torch computes in this thread of Python until the block ends."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _blas() -> Any:
    """The BLAS that NumPy has loaded."""
    np.empty(0) @ np.empty(0)
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


def in_order(look: Callable[[Item], Found], items: Iterable[Item], *, at_once: int) -> Iterator[Found]:
    """`look` at each item, a few at once, since that waits for disks and networks; what it gives in their order.

    At most twice as many as `at_once` lie waiting to be taken.
    """
    with ThreadPoolExecutor(at_once) as pool:
        ahead: deque[Future[Found]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(look, item))
                if len(ahead) > 2 * at_once:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            for future in ahead:
                future.cancel()
