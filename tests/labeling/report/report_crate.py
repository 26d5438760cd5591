"""A small real crate for the tests of the report: decoded, cut, embedded and labelled here, without lanes or Beam.

    crate = make_crate(tmp_path)

Seven tracks, whose titles are what users' titles may be, one file that is no audio and one that is silent. The
embedder hears band energies and reads captions by hash: its labels mean nothing, but they have a spread.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from labeling.draw import Method
from labeling.label import LabelRun, OpenSlot, label_shard
from labeling.profiles import PROFILES
from labeling.search.candidates import CandidateSet, find_candidates, read_candidates
from labeling.search.caption_embeddings import embeddings_name, seal_embeddings
from labeling.search.counts import bucket_counts, read_counts, write_counts
from labeling.search.exact import ExactSearch
from pipeline.audio.decode_guard import GuardedDecoder
from pipeline.config import ClipsConfig
from pipeline.crate.crate import Crate
from pipeline.crate.growth import pour
from pipeline.ids import hash_u64
from pipeline.mine import decoder_rates, mine_shard
from pipeline.records import EmbedderCard
from pipeline.source.listing import list_input
from pipeline.storage import Storage
from tests.audio_files import FORMATS, chord, write_audio
from vocab.build import caption_table
from vocab.store import Vocabulary, VocabularyCard, write_vocabulary

__all__ = ["CLIP_S", "TITLES", "label", "make_crate", "make_vocabularies", "mine"]

CLIP_S = 4.0
TITLES = (
    "Blue Lantern",
    "<script>window.hurt = 1; console.error('hurt')</script>",
    '"><img src=x onerror="window.hurt = 2"> & \'quotes\' {{ 7 * 7 }}',
    "Étude 🎹 für zwei 🥁",
    "שיר ערש \u202e זהרה",
    "W" * 300,
    "",
)
_D = 12
_SECONDS = (9.0, 13.0, 9.5, 5.0, 8.0, 8.0, 12.0)


class HearingEmbedder:
    """Log energies of a few bands, less their mean; captions by the hash of their text."""

    card = EmbedderCard(
        name="bands", sample_rate_hz=16_000, window_s=2.0, dimension=_D, text_limit_tokens=64, licence="CC0-1.0",
        revision="1", weights_hash="b" * 16,
    )  # fmt: skip

    def embed_audio(self, windows_BT: NDArray[np.float32]) -> NDArray[np.float32]:
        power = np.abs(np.fft.rfft(windows_BT, axis=1))[:, 1:] ** 2
        bands = np.stack([part.sum(axis=1) for part in np.array_split(power[:, :6_000], _D, axis=1)], axis=1)
        return _unit(np.log(bands + 1e-6) - np.log(bands + 1e-6).mean(axis=1, keepdims=True))

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        seeds = [hash_u64("text", text) for text in texts]
        return _unit(np.stack([np.random.default_rng(seed).normal(size=_D) for seed in seeds]))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def make_crate(folder: Path, *, labels: bool = True, songs: int = len(TITLES)) -> Crate:
    """Everything under `folder`; the crate is `folder/crate`. With no songs there are only the two bad files."""
    crate = mine(_input(folder, songs), folder / "crate")
    if labels:
        label(crate, make_vocabularies(folder))
    return crate


def mine(music: Path, root: Path) -> Crate:
    """Clips of a folder or a list, without labels."""
    crate = Crate.begin(Storage(root), ClipsConfig(clip_s=CLIP_S, clips_per_track=3), HearingEmbedder.card)
    crate, _ = pour(crate, list_input(str(music)), tracks_per_shard=4)
    with GuardedDecoder(crate.config, decoder_rates(crate)) as decoder:
        for shard in crate.shards:
            mine_shard(crate, shard, embedder=HearingEmbedder(), decoder=decoder, beat=lambda counts: None)
    return crate


def _input(folder: Path, songs: int) -> Path:
    rows: list[list[str]] = []
    for i, (title, seconds) in enumerate(zip(TITLES[:songs], _SECONDS, strict=False)):
        how = FORMATS["flac" if i % 2 else "mp3"]
        sound = chord(seconds, how.rates_hz[0], seed=i)
        path = write_audio(folder / f"song {i}.{how.suffix}", sound, how.rates_hz[0], "flac" if i % 2 else "mp3")
        rows.append([path.name, title, f"Artist <{i}>", "jazz;slow & <i>low</i>", "CC0-1.0", f"value <u>{i}</u>"])
    (folder / "not <b>audio<b>.mp3").write_text("words " * 200)
    write_audio(folder / "silent.flac", np.zeros((2, 44_100 * 9), np.float32), 44_100, "flac")
    rows += [[name, "", "", "", "", ""] for name in ("not <b>audio<b>.mp3", "silent.flac")]
    with open(folder / "songs.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "title", "artist", "tags", "licence", "composer"], *rows])
    return folder / "songs.csv"


def make_vocabularies(folder: Path) -> dict[str, str]:
    """Slot -> file: 60 sentences and 40 tags."""
    adjectives = ("slow", "fast", "warm", "cold", "loud", "soft", "dark", "bright", "strange", "plain")
    long = [f"A {a} piece <{n}> with {n} & a {b} drum." for a in adjectives for n, b in
            zip(("harp", "oud", "choir", "bass", "flute", "organ"), adjectives, strict=False)]  # fmt: skip
    short = [f"{a} {n}" for a in adjectives for n in ("harp", "oud", "choir", "<bass>")]
    files = {}
    for slot, kind, texts in (("llm_lf", "long", long), ("rater_sf", "short", short)):
        table, _ = caption_table(texts, kind=kind, source="import", licence="CC0-1.0", provenance="{}")  # type: ignore[arg-type]
        card = VocabularyCard(
            name=f"tiny-{kind}", kind=kind, source="import", licence="CC0-1.0", evaluation_derived=False
        )  # type: ignore[arg-type]
        files[slot] = str(folder / f"{kind}.parquet")
        write_vocabulary(files[slot], table, card)
    return files


def label(
    crate: Crate,
    files: dict[str, str],
    *,
    seed: int = 0,
    method: Method = "inverse-frequency",
    name: str = "",
    profile_name: str = "noise2music",
    min_similarity: float | None = None,
) -> LabelRun:
    """What `beam_jobs.labels.label_crate` does, in this process."""
    profile = PROFILES[profile_name]
    opened = []
    for slot in profile.slots:
        vocabulary = Vocabulary.load(files[slot.name])
        chosen = CandidateSet(
            vocabulary_name=vocabulary.card.name,
            vocabulary_hash=vocabulary.card.content_hash,
            captions=len(vocabulary),
            k=10,
            search="exact",
            debias="none",
            heard="",
            base_hash=crate.base_hash,
        )
        home = Storage(f"{crate.storage.url}/candidates")
        matrix = embeddings_name(vocabulary.card.content_hash, crate.embedder)
        buffer = io.BytesIO()
        np.save(buffer, HearingEmbedder().embed_text(vocabulary.texts.to_pylist()))
        with home.write(matrix) as file:
            file.write(buffer.getvalue())
        seal_embeddings(home, matrix, file)
        search = ExactSearch(np.load(home.path(matrix)))
        buckets, clips = [], 0
        for shard in crate.shards:
            clips += find_candidates(crate, chosen, shard, search=search, ids_N=vocabulary.ids, mean_D=None).rows
            _, caption_BK, _ = read_candidates(crate, chosen, shard)
            buckets.append(caption_BK.ravel())
        packed = [data for _, data in bucket_counts(np.concatenate(buckets), vocabulary.ids)]
        write_counts(crate.storage, chosen, packed, vocabulary.ids, clips=clips, covers=crate.covers)
        counts = read_counts(crate.storage, chosen)
        assert counts is not None
        counts_N = counts.dense(len(vocabulary))
        opened.append(OpenSlot(slot=slot, chosen=chosen, vocabulary=vocabulary, counts_N=counts_N))
    run = LabelRun(
        profile=profile,
        seed=seed,
        method=method,
        candidates={slot.slot.name: slot.chosen for slot in opened},
        base_hash=crate.base_hash,
        min_similarity=min_similarity,
        given_name=name,
    )
    run.begin(crate)
    for shard in crate.shards:
        label_shard(crate, run, shard, opened, drawn_by=run.drawn_by(crate))
    return run
