"""What fixes bytes comes out the same however many threads a BLAS or torch may take, on any kernel."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.threads import torch_threads

ROOT = Path(__file__).parents[2]

PROGRAM = """
import hashlib, sys
import numpy as np
from labeling.embedders.mel import LogMel
from labeling.search.exact import ExactSearch
from labeling.search.fast import FaissSearch, build_index
from vocab.cleaning.relevance import labelled_sentences, train

threads = int(sys.argv[1])
rng = np.random.default_rng(0)
mel = LogMel(rng.random((513, 128)), fft_size=1024, hop=469)
captions, queries = (rng.normal(size=(n, 256)).astype(np.float32) for n in (4000, 8))
fast = FaissSearch(captions, build_index(captions, threads=threads), width=40, threads=threads).top(queries, 50)
exact = ExactSearch(captions).top(queries, 50)
sentences, labels = labelled_sentences()
made = {
    "mel": mel(rng.normal(size=120_000).astype(np.float32)),
    "fast": np.concatenate([fast.scores_QK, fast.rows_QK]),
    "exact": np.concatenate([exact.scores_QK, exact.rows_QK]),
    "relevance": train(sentences[:300], labels[:300]),
}
for name, array in made.items():
    print(name, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest())
"""


def _made(kernel: str, threads: int) -> str:
    many = {name: str(threads) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    env = {**os.environ, **many, "OPENBLAS_CORETYPE": kernel, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(threads)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the kernels named are those of x86-64")
@pytest.mark.parametrize("kernel", ["Haswell", "Nehalem"])
def test_bits_do_not_depend_on_threads(kernel: str) -> None:
    one = _made(kernel, 1)
    assert one.count("\n") == 4
    assert _made(kernel, 4) == one


LIMITED = """
import threading
import numpy, threadpoolctl
from pipeline.threads import one_blas_thread

def threads():
    found = threadpoolctl.ThreadpoolController().select(user_api="blas").info()
    return {blas["num_threads"] for blas in found}

def use():
    for _ in range(50):
        with one_blas_thread(), one_blas_thread():
            seen.append(threads())

before, seen = threads(), []
use()
others = [threading.Thread(target=use) for _ in range(3)]
for thread in others: thread.start()
use()
for thread in others: thread.join()
print(threads() == before, set.union(*seen), len(seen), before)
"""


def test_the_limit_holds_in_any_thread_and_is_gone_afterwards() -> None:
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", LIMITED], env=env, capture_output=True, text=True, check=True)
    if done.stdout.endswith("set()\n"):
        pytest.skip("NumPy's BLAS here is none that has a number of threads")
    assert done.stdout.startswith("True {1} 250 ")


def test_torch_has_its_own_number_again_afterwards() -> None:
    with torch_threads(3):
        with pytest.raises(ValueError, match="within"), torch_threads(1):
            assert torch.get_num_threads() == 1
            raise ValueError("within")
        assert torch.get_num_threads() == 3
