"""Imports go one way, between packages, between the wings of a package, and between files.

Packages: pipeline <- vocab <- labeling <- beam_jobs; diffusion <- pipeline; nothing imports the command line.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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
EXCEPT = {("diffusion", "labeling.embedders.by_name")}
"""The default text encoder is the embedder's text tower."""
WINGS = {
    "pipeline": ("audio", "source", "crate", "curation", "publishing", "export"),
    "pipeline.curation": ("likeness",),
    "pipeline.export": ("tokens", "layouts", "indexes"),
    "vocab": ("grammar", "cleaning", "llm"),
    "labeling": ("embedders", "search", "recipe", "report", "encoders", "evaluation"),
    "labeling.recipe": ("composing", "rendering", "training", "judging"),
    "beam_jobs": ("engines",),
    "diffusion": ("model", "process", "data", "generation", "evaluation", "training", "serving"),
    "cratedig": ("mining", "curating", "exporting", "captions", "cascade", "evaluating"),
}
"""A wing may import those before it, not those after it. Files beside the wings are the ground (imported by all) or the
roof (importing all); that no file imports in a circle keeps them apart."""
MOST_FILES, MOST_LINES = 15, 350


def _imports(file: Path) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, anywhere in it, and the line."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def _module(file: Path) -> str:
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


FILES = {_module(file): file for package in MAY_IMPORT for file in sorted((ROOT / package).rglob("*.py"))}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    found = {}
    for module, file in FILES.items():
        for name, line in _imports(file) if module.partition(".")[0] == package else ():
            top = name.partition(".")[0]
            excepted = any(package == who and (name + ".").startswith(what + ".") for who, what in EXCEPT)
            if top in MAY_IMPORT and not (top == package or top in MAY_IMPORT[package] or excepted):
                found[f"{file.relative_to(ROOT)}:{line}"] = name
    assert not found


@pytest.mark.parametrize("parent", WINGS)
def test_wings_import_one_way(parent: str) -> None:
    def wing(module: str) -> str:
        return module.removeprefix(parent + ".").partition(".")[0] if module.startswith(parent + ".") else ""

    order = {name: place for place, name in enumerate(WINGS[parent])}
    folders = {f.name for f in (ROOT / parent.replace(".", "/")).iterdir() if (f / "__init__.py").exists()}
    assert folders == set(order), "each wing has its place in WINGS"
    found = {}
    for module, file in FILES.items():
        mine = order.get(wing(module))
        for name, line in _imports(file) if mine is not None else ():
            if order.get(wing(name), -1) > mine:
                found[f"{file.relative_to(ROOT)}:{line}"] = name
    assert not found


def test_no_file_imports_in_a_circle() -> None:
    """Imports inside functions count too: a circle is a circle, whenever it closes."""
    graph = {module: {n for n, _ in _imports(file) if n in FILES and n != module} for module, file in FILES.items()}
    try:
        tuple(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_tables_are_read_by_pipeline_parquet_alone() -> None:
    """Arrow's dataset scanner lets go of a Python file when it likes, which may be while the interpreter ends."""
    scanner = ("read_table", "read_pandas", "ParquetDataset")
    found = []
    for module, file in FILES.items():
        by_name = [name for name, _ in _imports(file)]
        found += [f"{module}: {name}" for name in by_name if name.startswith("pyarrow.dataset")]
        found += [f"{module}: {name}" for name in by_name if name in {f"pyarrow.parquet.{s}" for s in scanner}]
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in scanner:
                found.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.attr}")
    assert not found


def test_parquet_is_read_in_the_thread_that_asks() -> None:
    """Arrow's pool may still hold a Python file while the interpreter ends, too."""
    found = []
    for file in FILES.values():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                reads = node.func.attr in ("read_row_group", "read_row_groups", "iter_batches")
                opens = node.func.attr == "ParquetFile"
                missing = {"use_threads"} if reads else {"pre_buffer"} if opens else set()
                if missing - {keyword.arg for keyword in node.keywords}:
                    found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert not found


def test_wings_are_small_and_so_are_files() -> None:
    long = {m: lines for m, f in FILES.items() if (lines := len(f.read_text().splitlines())) > MOST_LINES}
    wide = {
        str(folder): count
        for folder in {file.parent for file in FILES.values()}
        if (count := sum(f.parent == folder and f.name != "__init__.py" for f in FILES.values())) > MOST_FILES
    }
    assert (long, wide) == ({}, {})


def test_help_loads_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "faiss", "apache_beam", "pyarrow", "numpy", "pydantic", "av")
    code = f"import sys, cratedig.main; cratedig.main.build_parser(); print([m for m in {heavy} if m in sys.modules])"
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]", f"after {time.monotonic() - started:.2f} s"
