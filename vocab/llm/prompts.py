"""The prompt (PAPER 3.5, appendix C): examples first, the same bytes for every song, then the song itself.

A template is a text file. Everything up to the line with `{title}` and `{artist}` is the examples; a server that keeps
the state of common prefixes reads them once.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.ids import content_hash, hash_u64
from vocab.llm.songs import Song

__all__ = ["BUNDLED_TEMPLATE", "PromptTemplate"]

BUNDLED_TEMPLATE = Path(__file__).parent / "data" / "prompt.txt"
_FIELD = re.compile(r"\{(\w+)\}")
_LONGEST = 100_000


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A template that has been checked."""

    prefix: str
    """The examples; stands first in every prompt, byte for byte."""
    question: str
    """What follows it, with `{title}`, `{artist}` and any other column of the list of songs."""

    @classmethod
    def load(cls, path: str | os.PathLike[str] = BUNDLED_TEMPLATE) -> PromptTemplate:
        """Raises BadInput for a file without the placeholders, or with one among the examples."""
        try:
            text = Path(path).read_bytes().decode("utf-8")
        except OSError as error:
            raise BadInput(f"the template {os.fspath(path)} cannot be read ({error.strerror}); give a file") from error
        except UnicodeDecodeError as error:
            raise BadInput(f"the template {os.fspath(path)} is not UTF-8 (byte {error.start})") from error
        text = text.replace("\r\n", "\n").rstrip()
        fields = set(_FIELD.findall(text))
        missing = [f"{{{name}}}" for name in ("artist", "title") if name not in fields]
        if missing:
            raise BadInput(
                f"the template {os.fspath(path)} has no {' and no '.join(missing)}; "
                'end it with a line such as: "{title}" by {artist}:'
            )
        first = _FIELD.search(text)
        assert first is not None, "it has two fields"
        start = text.rfind("\n", 0, first.start()) + 1
        if len(text) > _LONGEST:
            raise BadInput(f"the template {os.fspath(path)} has {len(text)} characters; expected at most {_LONGEST}")
        return cls(prefix=text[:start], question=text[start:])

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that a song must have."""
        return tuple(dict.fromkeys(_FIELD.findall(self.question)))

    @property
    def hash(self) -> str:
        return content_hash({"prefix": self.prefix, "question": self.question})

    def check(self, song: Song) -> None:
        """Raises BadInput where the list of songs lacks a column that the template names."""
        missing = [name for name in self.fields if name not in song.values]
        if missing:
            raise BadInput(
                f"the template names {', '.join('{' + name + '}' for name in missing)}, but the songs have the columns "
                f"{', '.join(song.values)}; add the column, or take the name out of the template"
            )

    def render(self, song: Song) -> str:
        """The prompt of one song; braces in a title are only characters."""
        return self.prefix + _FIELD.sub(lambda found: song.values[found.group(1)], self.question)

    def prompt_id(self, song: Song) -> str:
        """Of what the model is asked, whatever row it came from."""
        return f"{hash_u64('prompt', self.render(song)):016x}"
