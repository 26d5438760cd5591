"""An unpacked archive without .git, where .gitignore keeps nothing out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_what_commands_write_is_not_linted(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")]
    folders = [name for name in ignored if "*" not in name and not name.startswith((".", "__"))]
    assert {"demo", "runs"} <= set(folders)
    for name in folders:
        (tmp_path / name / "crate").mkdir(parents=True)
        (tmp_path / name / "crate" / "README.md").write_text("# A\n\n```python\nx = {  'a':1 }\nimport os\n```\n")
        (tmp_path / name / "crate" / "a.py").write_text("x = {  'a':1 }\nimport os\n")
    for command in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
    (tmp_path / "a.py").write_text("x = {  'a':1 }\nimport os\n")  # and what is not ignored is
    assert subprocess.run([sys.executable, "-m", "ruff", "check", "."], cwd=tmp_path, capture_output=True).returncode
