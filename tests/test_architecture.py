"""ARCHITECTURE.md says one true line of each wing and each module: the first line of its docstring.

python -m tests.test_architecture      write the lines again
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "ARCHITECTURE.md"
PACKAGES = ("pipeline", "vocab", "labeling", "beam_jobs", "diffusion", "cratedig")
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"


def module_lines() -> str:
    """The section between the marks: packages, the wings of each, the modules of each wing."""
    lines: list[str] = []
    for package in PACKAGES:
        top = ROOT / package
        wings = sorted(file.parent for file in top.rglob("__init__.py"))
        for wing in wings:
            modules = [f for f in sorted(wing.glob("*.py")) if f.name != "__init__.py" and _said(f)]
            name, said = wing.relative_to(ROOT).as_posix(), _said(wing / "__init__.py")
            lines += [f"{'###' if wing == top else '####'} `{name}/`: {said}", ""]
            lines += [f"- `{f.name}`: {_said(f)}" for f in modules]
            lines += [""] if modules else []
    return "\n".join(lines)


def _said(file: Path) -> str:
    """The first paragraph of a module's docstring, in one line."""
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(said.split("\n\n")[0].split())


def test_every_room_that_is_named_is_there() -> None:
    text = FILE.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.\w+)?)`", text[: text.index(BEGIN)]))
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_architecture_has_one_line_a_wing_and_a_module() -> None:
    text = FILE.read_text(encoding="utf-8")
    written = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert written == module_lines().strip(), "write it again: python -m tests.test_architecture"


if __name__ == "__main__":
    text = FILE.read_text(encoding="utf-8")
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    FILE.write_text(f"{head}\n\n{module_lines().strip()}\n\n{tail}", encoding="utf-8")
