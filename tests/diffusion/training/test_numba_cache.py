"""Griffin-Lim where nothing may be written but temporary files: a read-only installation, no home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import librosa
import pytest

CODE = """
import os
import numpy as np
from diffusion.training.demos import griffin_lim
from diffusion.training.runs import tiny

print(griffin_lim(np.zeros((80, 20), np.float32), tiny("spectrogram-generator").stage, 1).shape)
"""


def test_griffin_lim_runs_from_a_read_only_installation_without_a_home(tmp_path: Path) -> None:
    packages = Path(librosa.__file__).parents[1]
    unshare = ["unshare", "--mount", "--map-root-user"] if os.geteuid() else ["unshare", "--mount"]
    script = f'mount --bind "{packages}" "{packages}" && mount -o remount,bind,ro "{packages}" && exec "$@"'
    shut = [*unshare, "sh", "-c", script, "sh"]
    try:
        allowed = subprocess.run([*shut, "true"], capture_output=True, timeout=60).returncode == 0
    except FileNotFoundError:
        allowed = False
    if not allowed:
        pytest.skip("this machine lets nobody mount folders read-only (unshare --mount)")
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"}
    environment |= {"HOME": "/proc/none", "XDG_CACHE_HOME": "/proc/none/cache", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [*shut, sys.executable, "-c", CODE],
        capture_output=True,
        text=True,
        env=environment | {"PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.startswith("(")
    assert not list(tmp_path.glob("cratedig-numba-*"))
