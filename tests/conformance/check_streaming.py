"""mosaicml-streaming: the recipe of docs/exports.md from a crate to MDS and back.

Stood in: torchvision, a hard dependency for images whose wheel is a CUDA build.
"""

import io
import re
import sys
import tempfile
from pathlib import Path

import soundfile
from stand_ins import stand_in

stand_in("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets")

if __name__ == "__main__":
    crate, docs = sys.argv[1:]
    recipe = next(b for b in re.findall(r"```python\n(.*?)```", Path(docs).read_text(), re.S) if "MDSWriter" in b)
    with tempfile.TemporaryDirectory() as folder:
        exec(recipe, {"CRATE": crate, "MDS": f"{folder}/mds"})
        from streaming import StreamingDataset

        data = StreamingDataset(local=f"{folder}/mds", remote=None, shuffle=False, batch_size=4)
        row = data[0]
        audio, rate = soundfile.read(io.BytesIO(row["audio"]))
        assert (rate, audio.shape) == (24_000, (720_000,))
        assert row["text"] == row["captions"][0]
        print(f"{len(data)} samples, {audio.shape}, {rate} Hz, {len(row['captions'])} captions; e.g. {row['text']!r}")
