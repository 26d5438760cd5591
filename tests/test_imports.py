"""Imports go one way: pipeline <- vocab <- labeling <- beam_jobs; nothing imports the command line."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "pipeline": set(),
    "vocab": {"pipeline"},
    "labeling": {"pipeline", "vocab"},
    "beam_jobs": {"pipeline", "vocab", "labeling"},
    "diffusion": {"pipeline"},
    "cratedig": {"pipeline", "vocab", "labeling", "beam_jobs", "diffusion"},
}
EXCEPT = {("diffusion", "labeling.embedders.embedder")}
"""The default text encoder is the embedder's text tower."""


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    found = {}
    for file in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                top = name.partition(".")[0]
                fine = top == package or top in MAY_IMPORT[package] or (package, name) in EXCEPT
                if top in MAY_IMPORT and not fine:
                    found[f"{file.relative_to(ROOT)}:{node.lineno}"] = name
    assert not found


def test_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "faiss", "apache_beam", "pyarrow", "numpy", "pydantic", "av")
    code = f"import sys, cratedig.main; cratedig.main.build_parser(); print([m for m in {heavy} if m in sys.modules])"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]", f"after {time.monotonic() - started:.2f} s"
