"""ARCHITECTURE.md says one true line of each module: the first line of its docstring.

python -m tests.test_architecture      write the lines again
"""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent
FILE = ROOT / "ARCHITECTURE.md"
PACKAGES = ("pipeline", "vocab", "labeling", "beam_jobs", "diffusion", "cratedig")
BEGIN, END = "<!-- modules: begin -->", "<!-- modules: end -->"


def module_lines() -> str:
    """The section between the marks."""
    lines = []
    for package in PACKAGES:
        lines += [f"### `{package}/`", ""]
        for file in sorted((ROOT / package).rglob("*.py")):
            said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            name = file.relative_to(ROOT / package).as_posix()
            if file.name != "__init__.py" and said:
                lines.append(f"- `{name}`: {' '.join(said.split(chr(10) * 2)[0].split())}")
        lines.append("")
    return "\n".join(lines)


def test_architecture_has_one_line_a_module() -> None:
    text = FILE.read_text(encoding="utf-8")
    written = text[text.index(BEGIN) + len(BEGIN) : text.index(END)].strip()
    assert written == module_lines().strip(), "write it again: python -m tests.test_architecture"


if __name__ == "__main__":
    text = FILE.read_text(encoding="utf-8")
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    FILE.write_text(f"{head}\n\n{module_lines().strip()}\n\n{tail}", encoding="utf-8")
