"""The cleaning that benchmarks.vocab_clean measures, in a process of its own: the command, without its printing."""

from __future__ import annotations

import sys
from pathlib import Path

from vocab.answers import open_source
from vocab.cleaning.clean import CleanConfig, clean_vocabulary
from vocab.llm.songs import read_songs


def main() -> None:
    scratch, workers = Path(sys.argv[1]), int(sys.argv[2])
    songs = [(song.title, song.artist) for song in read_songs(scratch / "songs.csv")[0]]
    clean_vocabulary(
        open_source(scratch / "raw"), scratch / "clean.parquet", config=CleanConfig(), songs=songs, workers=workers
    )


if __name__ == "__main__":
    main()
