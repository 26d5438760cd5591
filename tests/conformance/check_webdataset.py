"""webdataset's own pipeline over the tars. Nothing stood in."""

import io
import sys
from pathlib import Path

import soundfile
import webdataset


def sound(key, data):
    return soundfile.read(io.BytesIO(data), dtype="float32") if key.endswith("flac") else None


if __name__ == "__main__":
    urls = sorted(map(str, Path(sys.argv[1]).glob("train/*.tar")))
    samples = list(
        webdataset.WebDataset(urls, shardshuffle=False).decode(sound).to_tuple("__key__", "flac", "json", "txt")
    )
    for key, (audio, rate), said, text in samples:
        assert (rate, audio.shape) == (24_000, (720_000,)), (rate, audio.shape)
        assert key == said["id"] and text == said["text"] == said["captions"][0]
    print(f"{len(samples)} samples, {audio.shape}, {rate} Hz, {len(said['captions'])} captions; e.g. {text!r}")
