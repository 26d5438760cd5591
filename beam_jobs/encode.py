"""The encoding job: the clips of a set in, vectors of one encoder out, for `cratedig evaluate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from beam_jobs.engine import Engine, OnTick, run_job
from labeling.encoders.by_name import encoder_card
from labeling.encoders.encoder import Encoder
from labeling.evaluation.clip_sets import ClipSet, set_from
from labeling.evaluation.encoded import EncodedSet, encode_shard, encoded_folder
from pipeline.crate.seals import read_sealed, write_sealed
from pipeline.errors import CrateMismatch
from pipeline.progress import Heartbeat
from pipeline.records import EmbedderCard, ShardReport
from pipeline.storage import Storage

__all__ = ["PARTS", "EncodeJob", "encode_set"]

PARTS, _SET = "parts", "set.json"


@dataclass(frozen=True, kw_only=True)
class EncodeJob:
    """Encode the clips of one set."""

    root: str
    """Folder of this set and this encoder, so that no other evaluation waits for it."""
    shard_count: int
    encoder: str
    """Name or path."""
    weights_hash: str
    device: str = "auto"
    through_hz: int = 0
    stored: bool = False
    """Take the crate's own embeddings: nothing is decoded and no model is loaded."""
    title: str = "encoding"
    folder: str = PARTS
    hashes: tuple[str, ...] = field(default=(), repr=False)
    """Of each shard's clips."""

    def at(self, shard: int) -> tuple[str, int, int]:
        return self.folder, shard, self.shard_count

    def storage(self) -> Storage:
        return Storage(self.root)

    @property
    def encoded(self) -> EncodedSet:
        return EncodedSet(storage=self.storage(), folder=self.folder, shards=self.shard_count)

    def todo(self) -> list[int]:
        encoded = self.encoded
        return [shard for shard in range(self.shard_count) if not encoded.done(shard, self.hashes[shard])]

    def open(self) -> _Worker:
        from labeling.encoders.by_name import load_encoder

        clips = set_from(read_sealed(self.storage(), _SET))
        encoder = None if self.stored else load_encoder(self.encoder, device=self.device, threads=1)
        card = encoder.card if encoder else encoder_card(self.encoder)
        if card.weights_hash != self.weights_hash:
            raise CrateMismatch(f"{self.encoder} is another model here than where this was begun; give the same one")
        return _Worker(self, clips, card, encoder)


class _Worker:
    def __init__(self, job: EncodeJob, clips: ClipSet, card: EmbedderCard, encoder: Encoder | None) -> None:
        self._job, self._clips, self._card, self._encoder = job, clips, card, encoder

    def run(self, shard: int) -> ShardReport:
        job = self._job
        beat = Heartbeat(job.storage(), job.folder, shard)
        report = encode_shard(
            self._clips, shard, self._card, self._encoder, job.storage(), job.folder,
            through_hz=job.through_hz, beat=beat,
        )  # fmt: skip
        beat.end()
        return report

    def close(self) -> None:
        pass


def encode_set(
    clips: ClipSet,
    cache: Storage,
    *,
    encoder: str = "bundled",
    device: str = "auto",
    through_hz: int = 0,
    engine: Engine | None = None,
    watch: Callable[[EncodeJob], OnTick] = lambda job: lambda ended: None,
) -> EncodedSet:
    """The set's vectors in `cache`; what is there already, by the hash of its content, is not made again."""
    card = encoder_card(encoder)
    job = EncodeJob(
        root=f"{cache.url}/{encoded_folder(clips, card, through_hz)}",
        shard_count=clips.shard_count,
        encoder=encoder,
        weights_hash=card.weights_hash,
        device=device,
        through_hz=through_hz,
        stored=clips.embedder is not None and clips.embedder.weights_hash == card.weights_hash and not through_hz,
        title=f"{card.name} on {clips.name}",
        hashes=tuple(clips.shard_hash(shard) for shard in range(clips.shard_count)),
    )
    if job.todo():
        write_sealed(job.storage(), _SET, clips.describe())
        run_job(job, engine or Engine(), watch(job))
    return job.encoded
