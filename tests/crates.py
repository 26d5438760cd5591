"""Small real crates for tests: short audio files, clips of seconds, a tiny random embedder and vocabulary."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from beam_jobs.clips import ClipsJob
from beam_jobs.engine import Engine, run_job
from beam_jobs.labels import label_crate
from labeling.embedders.by_name import embedder_card
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.growth import pour
from pipeline.ids import caption_id
from pipeline.source.listing import list_input
from pipeline.storage import Storage
from tests.audio_files import FORMATS, chord, write_audio
from vocab.grammar.lexicon import stated_facts
from vocab.store import Kind, Vocabulary, VocabularyCard, write_vocabulary

CONFIG = ClipsConfig(clip_s=2.0, clips_per_track=3)


def write_music(folder: Path, tracks: int = 6) -> Path:
    """`tracks` files of 5 to 7.5 s in several formats, a silent one and one that is no audio."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ["flac", "mp3", "wav-s16", "ogg", "m4a", "aiff"]
    for i in range(tracks):
        kind = FORMATS[names[i % len(names)]]
        rate = kind.rates_hz[0]
        write_audio(folder / f"song{i}.{kind.suffix}", chord(5 + 0.5 * i, rate, seed=i), rate, names[i % len(names)])
    silent = 0 * chord(4.0, 44_100)
    write_audio(folder / "silent.wav", silent, 44_100, "wav-s16")
    (folder / "notes.mp3").write_text("this is no music " * 200)
    return folder


def write_captions(path: Path, kind: Kind, captions: int = 40, *, evaluation_derived: bool = False) -> Path:
    """A vocabulary of sentences or tags that differ from each other."""
    words = (
        "calm fast slow dark bright sad happy loud soft warm piano guitar drums strings organ jazz rock folk".split()
    )
    texts = []
    for i in range(captions):
        a, b, c = words[i % 10], words[10 + i % 5], words[15 + i % 3]
        texts.append(f"a {a} {c} piece with {b} number {i}" if kind == "long" else f"{a} {b} {i}")
    table = pa.table(
        {
            "caption_id": [f"{caption_id(text):016x}" for text in texts],
            "text": texts,
            "kind": [kind] * captions,
            "source": ["import"] * captions,
            "licence": ["CC0-1.0"] * captions,
            "provenance": ["{}"] * captions,
            "facts": pa.array([None] * captions, pa.list_(pa.string())),
        }
    )
    card = VocabularyCard(
        name=path.stem, kind=kind, source="import", licence="CC0-1.0", evaluation_derived=evaluation_derived
    )
    write_vocabulary(path, table, card)
    return path


def state_facts(vocabularies: Path, out: Path, most: int | None = None) -> Path:
    """The same captions in another folder, each with a list of the facts that it states, or of the first few."""
    for kind in ("long", "short"):
        known = Vocabulary.load(vocabularies / f"{kind}.parquet")
        facts = [sorted(stated_facts(text))[:most] for text in known.texts.to_pylist()]
        table = known.table.set_column(
            known.table.column_names.index("facts"), "facts", pa.array(facts, pa.list_(pa.string()))
        )
        write_vocabulary(out / f"{kind}.parquet", table, known.card)
    return out


def plan_crate(music: Path, root: Path, clap: Path, config: ClipsConfig = CONFIG) -> Crate:
    crate = Crate.begin(Storage(root), config, embedder_card(str(clap)), embedder_source=str(clap))
    return pour(crate, list_input(str(music)), tracks_per_shard=2)[0]


def mine_clips(crate: Crate, engine: Engine) -> int:
    job = ClipsJob(root=crate.storage.url, pours=crate.pour_shards, embedder=crate.embedder_source, device="cpu")
    return run_job(job, engine)


def label(crate: Crate, vocabularies: Path, engine: Engine, **settings: object) -> str:
    """Label with the vocabularies `long.parquet` and `short.parquet` of a folder; returns the run's name."""
    files = {"llm_lf": str(vocabularies / "long.parquet"), "rater_sf": str(vocabularies / "short.parquet")}
    keywords: dict[str, object] = {
        "vocabularies": files,
        "embedder": crate.embedder_source,
        "device": "cpu",
        **settings,
    }
    return label_crate(crate, engine=engine, **keywords).name  # type: ignore[arg-type]
