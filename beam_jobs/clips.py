"""The clips job: tracks of a shard in, clips and rejects out."""

from __future__ import annotations

from dataclasses import dataclass

from beam_jobs.job import PouredJob
from pipeline.audio.decode_guard import GuardedDecoder
from pipeline.audio.embedding import AudioEmbedder
from pipeline.crate.crate import CLIPS, Crate
from pipeline.errors import CrateMismatch
from pipeline.mine import MusicScore, decoder_rates, mine_shard
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport

__all__ = ["ClipsJob"]


@dataclass(frozen=True, kw_only=True)
class ClipsJob(PouredJob):
    """Cut, embed and write the clips of a planned crate."""

    embedder: str
    """Name or path."""
    device: str = "auto"
    folder: str = CLIPS
    title: str = "clips"

    def todo(self) -> list[int]:
        return Crate.open(self.root).undone(self.folder)

    def open(self) -> _Worker:
        from labeling.embedders.by_name import load_embedder
        from labeling.music import MusicMargin

        crate = Crate.open(self.root)
        embedder = load_embedder(self.embedder, device=self.device, threads=1)
        if embedder.card.weights_hash != crate.embedder.weights_hash:
            raise CrateMismatch(
                f"{self.root} was begun with {crate.embedder.name} ({crate.embedder.weights_hash[:12]}), "
                f"{self.embedder} is {embedder.card.weights_hash[:12]}; give that model, or a new folder"
            )
        return _Worker(crate, embedder, MusicMargin(embedder))


class _Worker:
    def __init__(self, crate: Crate, embedder: AudioEmbedder, music: MusicScore) -> None:
        self._crate, self._embedder, self._music = crate, embedder, music
        self._decoder = GuardedDecoder(crate.config, decoder_rates(crate))

    def run(self, shard: int) -> ShardReport:
        beat = Heartbeat(self._crate.storage, CLIPS, shard)
        report = mine_shard(
            self._crate, shard, embedder=self._embedder, decoder=self._decoder, beat=beat, music=self._music
        )
        beat.end()
        return report

    def close(self) -> None:
        self._decoder.close()
