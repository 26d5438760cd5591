"""What a model is asked (PAPER 3.5, appendix C): an instruction, a few examples, and last the song itself.

A template is a text file of blocks that empty lines set apart. The last block is the question, with `{title}`,
`{artist}` or any other column of the list of songs. Blocks of the question's form with an answer behind it are the
examples; what stands before them is the instruction. Models that only go on with a text read all of it as one text;
models that follow instructions are given the instruction as the system's message and each example as two turns.

Examples shape what a model writes (fixed ones made it repeat their instruments, voices and words), so each shard of
songs gets a few of a larger set, drawn by seed, that have as little in common as may be. In a shard they are the same
bytes, so that a server computes them once.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import BadInput
from pipeline.ids import content_hash, hash_u64
from vocab.cleaning.sentences import split_sentences
from vocab.grammar.lexicon import stated_facts
from vocab.llm.backend import PromptRequest
from vocab.llm.songs import Song
from vocab.llm.tasks import TASKS

__all__ = ["Example", "PromptTemplate", "estimated_tokens"]

_DATA = Path(__file__).parent / "data"
_FIELD = re.compile(r"\{(\w+)\}")
_LONGEST = 100_000
_JSON_WORDS = 'Answer in JSON: {"captions": ["one sentence", "another sentence"]}'


@dataclass(frozen=True, kw_only=True)
class Example:
    """A question of the template's form and its answer."""

    question: str
    answer: str
    names: tuple[str, str] = ("", "")
    """Title and artist, where the question has them: no caption may name them."""


@dataclass(frozen=True, kw_only=True)
class PromptTemplate:
    """A template that has been checked."""

    instruction: str
    examples: tuple[Example, ...]
    question: str
    """The last block, with names of columns in braces."""
    shots: int = 8
    """Examples in a prompt; all where there are no more."""
    structured: bool = False
    """Answers are JSON, a list of sentences."""

    @classmethod
    def load(cls, path: str | os.PathLike[str] = "song", *, shots: int = 8, structured: bool = False) -> PromptTemplate:
        """The template in a file, or of a task by name. Raises BadInput for a file without a question."""
        file = _DATA / f"{path}.txt" if path in TASKS else Path(path)
        try:
            text = file.read_bytes().decode("utf-8")
        except OSError as error:
            raise BadInput(f"the template {os.fspath(path)} cannot be read ({error.strerror}); give a file") from error
        except UnicodeDecodeError as error:
            raise BadInput(f"the template {os.fspath(path)} is not UTF-8 (byte {error.start})") from error
        if len(text) > _LONGEST:
            raise BadInput(f"the template {os.fspath(path)} has {len(text)} characters; expected at most {_LONGEST}")
        blocks = [block.strip() for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip())]
        *before, question = blocks
        if not _FIELD.search(question):
            raise BadInput(
                f"the template {os.fspath(path)} ends without a question ({question[-60:]!r}); its last lines must "
                'name a column in braces, such as: "{title}" by {artist}:'
            )
        if any(_FIELD.search(block) for block in before):
            raise BadInput(
                f"the template {os.fspath(path)} names columns before its last lines; examples stand there, with an "
                "empty line between any two and before the question"
            )
        asks = _form(question)
        found = [asks.fullmatch(block) for block in before]
        first = next((at for at, match in enumerate(found) if match), len(before))
        if not all(found[first:]):
            first = len(before)  # text after the examples: it is all one instruction
        return cls(
            instruction="\n\n".join(before[:first]),
            examples=tuple(_example(block, match) for block, match in zip(before[first:], found[first:], strict=True)),
            question=question,
            shots=shots,
            structured=structured,
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """Columns that a song must have."""
        return tuple(dict.fromkeys(_FIELD.findall(self.question)))

    @property
    def hash(self) -> str:
        """Of all that is asked, whatever the song."""
        return content_hash(
            {
                "instruction": self.instruction,
                "examples": [[example.question, example.answer] for example in self.examples],
                "question": self.question,
                "shots": self.shots,
                "structured": self.structured,
            }
        )

    def check(self, song: Song) -> None:
        """Raises BadInput where the list of songs lacks a column that the template names."""
        missing = [name for name in self.fields if name not in song.values]
        if missing:
            raise BadInput(
                f"the template names {', '.join('{' + name + '}' for name in missing)}, but the songs have the columns "
                f"{', '.join(song.values)}; add the column, or take the name out of the template"
            )

    def ask(self, song: Song) -> str:
        """The question about one song; braces in a title are only characters."""
        return _FIELD.sub(lambda found: song.values[found.group(1)], self.question)

    def prompt_id(self, song: Song) -> str:
        """Of what the model is asked, whatever row it came from and whichever examples stand before it."""
        return f"{hash_u64('prompt', self.instruction, self.ask(song)):016x}"

    def draw(self, seed: int, shard: int) -> tuple[Example, ...]:
        """The examples of a shard, by chance; women's, men's and no voices in turn, and least of what came before."""
        if len(self.examples) <= self.shots:
            return self.examples
        order = sorted(self.examples, key=lambda example: hash_u64("example", seed, shard, example.question))
        drawn: list[Example] = []
        used = Counter[str]()

        def repeated(example: Example) -> tuple[int, int, int]:
            voice = _voice(example.answer)
            again = sum(used[fact] for fact in stated_facts(example.answer))
            return used[voice], hash_u64("voice", seed, shard, voice), again

        while len(drawn) < self.shots:
            best = min(order, key=repeated)
            order.remove(best)
            drawn.append(best)
            used.update((_voice(best.answer), *stated_facts(best.answer)))
        return tuple(drawn)

    def request(self, song: Song, examples: Sequence[Example], *, seed: int) -> PromptRequest:
        """One song with its shard's examples, as one text and as messages."""
        instruction = "\n\n".join(filter(None, (self.instruction, _JSON_WORDS if self.structured else "")))
        question = self.ask(song)
        shown = [(example.question, self._answer(example)) for example in examples]
        blocks = [instruction, *(f"{asked} {answer}" for asked, answer in shown), question]
        turns = [message for asked, answer in shown for message in (("user", asked), ("assistant", answer))]
        system = [("system", instruction)] if instruction else []
        return PromptRequest(
            id=self.prompt_id(song),
            prompt="\n\n".join(filter(None, blocks)),
            messages=(*system, *turns, ("user", question)),
            seed=seed,
        )

    def _answer(self, example: Example) -> str:
        if not self.structured:
            return example.answer
        return json.dumps({"captions": split_sentences(example.answer)}, ensure_ascii=False)


def estimated_tokens(songs: Sequence[Song], template: PromptTemplate, *, seed: int, per_shard: int) -> int:
    """Tokens that a model reads for one answer to each song, at four letters a token, which English comes close to."""
    letters = 0
    for shard, start in enumerate(range(0, len(songs), per_shard)):
        examples = template.draw(seed, shard)
        part = songs[start : start + per_shard]
        shared = len(template.request(part[0], examples, seed=0).prompt) - len(template.ask(part[0]))
        letters += len(part) * shared + sum(len(template.ask(song)) for song in part)
    return letters // 4


_WOMAN = re.compile(r"\b(?:woman|women|female|she|her|girl)\b", re.IGNORECASE)
_MAN = re.compile(r"\b(?:man|men|male|he|his|boy|bluesman)\b", re.IGNORECASE)


def _voice(answer: str) -> str:
    """Whose voice an example has; a model takes that over before anything else."""
    woman, man = bool(_WOMAN.search(answer)), bool(_MAN.search(answer))
    return "a woman's" if woman and not man else "a man's" if man and not woman else "neither"


def _form(question: str) -> re.Pattern[str]:
    """What a block of the question's form looks like, with an answer behind it."""
    parts: list[str] = []
    seen: set[str] = set()
    at = 0
    for found in _FIELD.finditer(question):
        name = found.group(1)
        parts += [re.escape(question[at : found.start()]), f"(?P={name})" if name in seen else f"(?P<{name}>.+?)"]
        seen.add(name)
        at = found.end()
    parts.append(re.escape(question[at:]))
    return re.compile(f"(?P<_question>{''.join(parts)})\\s+(?P<_answer>\\S.*)", re.DOTALL)


def _example(block: str, match: re.Match[str] | None) -> Example:
    assert match is not None, "only blocks of the question's form are examples"
    named = match.groupdict()
    return Example(
        question=named["_question"],
        answer=" ".join(named["_answer"].split()),
        names=(named.get("title") or "", named.get("artist") or ""),
    )
