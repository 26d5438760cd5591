"""One caption vocabulary: a Parquet file sorted by caption id, and a JSON card beside it.

N captions of a vocabulary. `NAME.parquet` holds the columns of `SCHEMA`, one row a caption, one kind a file;
`NAME.card.json` says what they are, where they come from and what every filter left out. Nothing here imports torch.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import VocabularyProblem
from pipeline.ids import caption_id
from pipeline.parquet import parquet_file, read_table
from pipeline.storage import Storage

__all__ = [
    "BUNDLED",
    "SCHEMA",
    "Kind",
    "Vocabulary",
    "VocabularyCard",
    "bundled_vocabulary",
    "captions_hash",
    "ids_from_hex",
    "ids_to_hex",
    "open_vocabulary",
    "read_card",
    "vocabulary_file",
    "vocabulary_ids",
    "write_vocabulary",
]

Kind = Literal["long", "short"]

SCHEMA = pa.schema(
    [
        pa.field("caption_id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("provenance", pa.string(), nullable=False),
        pa.field("facts", pa.list_(pa.string())),
    ]
)
"""`caption_id` 16 hex digits, ascending and unique; `provenance` a JSON object (file and row, or model, prompt, seed
and song row); `facts` the `class:value` statements that a caption makes, null where nobody knows."""

FORMAT_VERSION = 1
ROWS_PER_GROUP = 65_536
BUNDLED_FOLDER = Path(__file__).parent / "bundled"
BUNDLED: Mapping[Kind, tuple[str, ...]] = {"long": ("long", "written"), "short": ("short",)}
"""Names of the bundled vocabularies of each kind, the one that is used where none is given first."""


@dataclass(frozen=True, kw_only=True)
class VocabularyCard:
    """What a vocabulary is, for a reader and for the profiles that must refuse it."""

    name: str
    kind: Kind
    """`long`: sentences; `short`: tags."""
    source: str
    """`grammar`, `llm`, `rater` (MusicCaps), `import`; of a merge, its parts joined by `+`."""
    licence: str
    evaluation_derived: bool
    """Made from the set that models are evaluated on. Whether a profile accepts it depends on its kind (PAPER 3.6)."""
    note: str = ""
    captions: int = 0
    content_hash: str = ""
    """Of ids and texts: two vocabularies with the same hash label alike."""
    yields: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Step -> reason -> how many; in the order in which the steps ran. `kept` stands in each."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """What it was made with: grammar version, or model, sampling, template hash, input files."""
    format_version: int = FORMAT_VERSION

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], *, where: str) -> VocabularyCard:
        """The card in `value`, as read from JSON; `where` is named in errors."""
        known = {f.name for f in fields(cls)}
        needed = {"name", "kind", "source", "licence", "evaluation_derived", "captions", "content_hash"}
        if not isinstance(value, Mapping) or not needed <= set(value):
            gone = sorted(needed - set(value)) if isinstance(value, Mapping) else sorted(needed)
            raise VocabularyProblem(f"{where} is not a vocabulary's card: it lacks {', '.join(gone)}; make it again")
        if value.get("format_version", 1) != FORMAT_VERSION:
            raise VocabularyProblem(
                f"{where} has format {value['format_version']}, this version reads {FORMAT_VERSION}; "
                "make the vocabulary again, or use the version of cratedig that made it"
            )
        if value["kind"] not in ("long", "short"):
            raise VocabularyProblem(f"{where} has kind {value['kind']!r}; a vocabulary is `long` or `short`")
        return cls(**{name: item for name, item in value.items() if name in known})


class Vocabulary:
    """A vocabulary in memory, in the order of its ids. Texts and facts are Arrow columns, not Python lists."""

    def __init__(self, card: VocabularyCard, table: pa.Table) -> None:
        self.card = card
        # one chunk a column: taking rows of many chunks would copy the whole column each time
        self.table = table.combine_chunks()
        self.ids: NDArray[np.uint64] = ids_from_hex(self.table.column("caption_id"))
        """Ascending and unique; `pipeline.ids.caption_id` of each text."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def texts(self) -> pa.ChunkedArray:
        """Strings, in the order of `ids`."""
        return self.table.column("text")

    @cached_property
    def facts(self) -> pa.ChunkedArray | None:
        """Lists of `class:value` strings in the order of `ids`; None where no caption states any."""
        column = self.table.column("facts")
        return None if column.null_count == len(column) else column

    def sample(self, count: int) -> Vocabulary:
        """`count` captions drawn evenly, always the same ones, and those of a smaller sample among them.

        For a quick look or a demonstration: its card names it so, and its content hash is its own.
        """
        if count >= len(self):
            return self
        order = np.argsort(self.ids * np.uint64(0x9E3779B97F4A7C15) ^ (self.ids >> np.uint64(31)), kind="stable")
        table = self.table.take(pa.array(np.sort(order[:count])))
        card = replace(
            self.card,
            name=f"{self.card.name}-{count}",
            captions=count,
            content_hash=captions_hash(table.column("text")),
            yields={**self.card.yields, "sample": {"left out": len(self) - count, "kept": count}},
        )
        return Vocabulary(card, table)

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, columns: Sequence[str] = SCHEMA.names) -> Vocabulary:
        """Read `NAME.parquet` (or `NAME`) and its card, and check that they belong together.

        columns: `caption_id`, `text` and what else is needed: of 4 million captions, provenance alone takes a gigabyte.
        """
        storage, name = _place(path)
        parquet, card_file = f"{name}.parquet", f"{name}.card.json"
        where = posixpath.join(storage.url, parquet)
        if not storage.exists(parquet):
            raise VocabularyProblem(
                f"there is no vocabulary at {where}; give the .parquet file that `cratedig vocab` wrote, "
                "or import captions with: cratedig vocab import CAPTIONS --out NAME.parquet"
            )
        if not storage.exists(card_file):
            raise VocabularyProblem(
                f"{where} has no card {card_file} beside it; "
                f"make one with: cratedig vocab import {where} --out NEW.parquet"
            )
        card = read_card(path)
        try:
            opened = pa.memory_map(storage.path(parquet)) if storage.is_local else storage.open(parquet)
            with opened as file:
                table = read_table(file, columns)
            table = table.select(columns).cast(pa.schema([SCHEMA.field(column) for column in columns]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OSError, KeyError) as error:
            raise VocabularyProblem(
                f"{where} cannot be read as a vocabulary ({str(error).splitlines()[0]}); expected the columns "
                f"{', '.join(SCHEMA.names)}; import it with: cratedig vocab import"
            ) from error
        vocabulary = cls(card, table)
        _check(vocabulary, where)
        return vocabulary


def read_card(path: str | os.PathLike[str]) -> VocabularyCard:
    """The card of a vocabulary that is there."""
    storage, name = _place(path)
    file = f"{name}.card.json"
    return VocabularyCard.from_dict(storage.read_json(file), where=posixpath.join(storage.url, file))


def vocabulary_ids(path: str | os.PathLike[str]) -> NDArray[np.uint64]:
    """The ids of a vocabulary that was loaded before, ascending: 8 bytes a caption, and nothing else is kept."""
    storage, name = _place(path)
    with storage.open(f"{name}.parquet") as file:
        groups = parquet_file(file).iter_batches(ROWS_PER_GROUP, columns=["caption_id"], use_threads=False)
        parts = [ids_from_hex(group.column(0)) for group in groups]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def write_vocabulary(path: str | os.PathLike[str], table: pa.Table, card: VocabularyCard) -> VocabularyCard:
    """Write `table` (columns of SCHEMA, any order of rows, unique ids) and its card; returns the card as written.

    The card comes last: a vocabulary without one was interrupted.
    """
    storage, name = _place(path)
    table = table.select(SCHEMA.names).cast(SCHEMA).combine_chunks()
    table = table.take(pc.sort_indices(table, sort_keys=[("caption_id", "ascending")]))
    ids = ids_from_hex(table.column("caption_id"))
    if len(ids) and bool((ids[1:] == ids[:-1]).any()):
        raise VocabularyProblem(
            f"{int((ids[1:] == ids[:-1]).sum())} captions for {storage.url}/{name} share an id with another; "
            "remove duplicates first: cratedig vocab clean"
        )
    if len(pc.unique(table.column("kind"))) > 1 or (len(table) and table.column("kind")[0].as_py() != card.kind):
        raise VocabularyProblem(f"{name} is to be a {card.kind} vocabulary but holds other kinds; one file, one kind")
    card = replace(card, captions=len(table), content_hash=captions_hash(table.column("text")))
    storage.remove(f"{name}.card.json")
    with storage.write(f"{name}.parquet") as file:
        # dictionary_pagesize stays at its default: a text column of unique values falls back to plain by itself
        writer = pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            SCHEMA,
            compression="zstd",
            compression_level=9,
            use_dictionary=["kind", "source", "licence", "facts.list.element"],
            data_page_version="1.0",
            write_statistics=["caption_id"],
        )
        with writer:
            for start in range(0, max(len(table), 1), ROWS_PER_GROUP):
                writer.write_table(table.slice(start, ROWS_PER_GROUP), row_group_size=ROWS_PER_GROUP)
    storage.write_json(f"{name}.card.json", card.as_dict())
    return card


def bundled_vocabulary(kind: Kind) -> Vocabulary:
    """The vocabulary that comes with cratedig: a grammar over music words, for a machine without a language model."""
    return Vocabulary.load(BUNDLED_FOLDER / f"{kind}.parquet")


def open_vocabulary(name: str | os.PathLike[str]) -> Vocabulary:
    """`bundled:long`, `bundled:short`, `bundled:written`, or the path of a vocabulary."""
    return Vocabulary.load(vocabulary_file(name))


def vocabulary_file(name: str | os.PathLike[str]) -> str:
    """The path of a vocabulary; of a bundled one where it is named so."""
    text = os.fspath(name)
    place, _, which = text.partition(":")
    if place != "bundled":
        return text
    if which not in {bundled for names in BUNDLED.values() for bundled in names}:
        raise VocabularyProblem(
            f"{text!r} is no bundled vocabulary; there are bundled:long, bundled:short and bundled:written"
        )
    return str(BUNDLED_FOLDER / f"{which}.parquet")


def ids_from_hex(column: pa.ChunkedArray | pa.Array) -> NDArray[np.uint64]:
    """64-bit ids from a column of 16 hex digits each, without a Python string for any of them."""
    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    parts: list[NDArray[np.uint64]] = []
    for chunk in (c.slice(start, ROWS_PER_GROUP) for c in chunks for start in range(0, len(c), ROWS_PER_GROUP)):
        lengths = pc.min_max(pc.binary_length(chunk)).as_py()
        if chunk.null_count or lengths != {"min": 16, "max": 16}:
            raise VocabularyProblem("caption_id must be 16 hex digits in every row; make the vocabulary again")
        offsets = np.frombuffer(chunk.buffers()[1], dtype=np.int32)[chunk.offset :]
        digits = np.frombuffer(chunk.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[0] + 16 * len(chunk)]
        values = _NIBBLE[digits]
        if values.max() > 15:
            raise VocabularyProblem("caption_id holds a character that is no lower-case hex digit; make it again")
        pairs = values.reshape(-1, 2)
        packed = ((pairs[:, 0] << 4) | pairs[:, 1]).reshape(-1, 8)
        parts.append(np.ascontiguousarray(packed).view(">u8").reshape(-1).astype(np.uint64))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def ids_to_hex(ids_N: NDArray[np.uint64]) -> pa.Array:
    """The column that `ids_from_hex` reads."""
    octets = np.ascontiguousarray(ids_N.astype(">u8")).view(np.uint8)
    nibbles = np.stack([octets >> 4, octets & 15], axis=1).reshape(-1)
    data = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)[nibbles]
    offsets = np.arange(0, 16 * len(ids_N) + 1, 16, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), len(ids_N), [None, pa.py_buffer(offsets), pa.py_buffer(data)])


def captions_hash(texts: pa.ChunkedArray | pa.Array) -> str:
    """Hex hash of the texts in their order; how the column is cut into chunks does not matter."""
    bodies, lengths = hashlib.blake2b(digest_size=8), hashlib.blake2b(digest_size=8)
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        if not len(chunk):
            continue
        offsets = np.frombuffer(chunk.buffers()[1], dtype=np.int32)[chunk.offset : chunk.offset + len(chunk) + 1]
        bodies.update(memoryview(chunk.buffers()[2])[int(offsets[0]) : int(offsets[-1])])
        lengths.update(np.ascontiguousarray(np.diff(offsets)).tobytes())
    return hashlib.blake2b(bodies.digest() + lengths.digest(), digest_size=8).hexdigest()


_NIBBLE = np.full(256, 255, dtype=np.uint8)
_NIBBLE[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16, dtype=np.uint8)
_SAMPLE = 200
"""Rows whose id is made again from their text when a vocabulary is read."""


def _place(path: str | os.PathLike[str]) -> tuple[Storage, str]:
    """The folder of a vocabulary and its name without `.parquet`."""
    text = os.fspath(path)
    text = text.removesuffix(".parquet").removesuffix(".card.json")
    folder, _, name = text.rpartition("/")
    if not name:
        raise VocabularyProblem(f"{os.fspath(path)!r} names no vocabulary; give a file such as captions.parquet")
    return Storage(folder or ("/" if text.startswith("/") else ".")), name


def _check(vocabulary: Vocabulary, where: str) -> None:
    card, ids = vocabulary.card, vocabulary.ids
    remedy = "it was changed after it was written; make it again, or import it with: cratedig vocab import"
    if len(vocabulary) == 0:
        raise VocabularyProblem(f"{where} holds no captions; at least one is needed; see the yields on its card")
    if len(vocabulary) != card.captions or captions_hash(vocabulary.texts) != card.content_hash:
        raise VocabularyProblem(
            f"{where} holds {len(vocabulary)} captions that differ from the {card.captions} of its card; {remedy}"
        )
    if bool((ids[1:] <= ids[:-1]).any()):
        raise VocabularyProblem(f"the caption ids in {where} are not ascending and unique; {remedy}")
    for row in range(0, len(vocabulary), max(1, len(vocabulary) // _SAMPLE)):
        if caption_id(vocabulary.texts[row].as_py()) != int(ids[row]):
            raise VocabularyProblem(f"row {row} of {where} has an id that is not its text's; {remedy}")
