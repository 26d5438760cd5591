"""lhotse: docs/exports.md's recipe over a `lhotse` export, read, resampled and put into Shar. Nothing stood in."""

import re
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    root, docs = sys.argv[1:]
    recipe = next(b for b in re.findall(r"```python\n(.*?)```", Path(docs).read_text(), re.S) if "to_shar" in b)
    with tempfile.TemporaryDirectory() as shar:
        scope: dict = {"DIR": root, "SHAR": shar}
        exec(recipe, scope)
        cut, back = scope["cuts"][0], list(scope["back"])
        assert cut.load_audio().shape == (1, 720_000) and cut.sampling_rate == 24_000
        assert cut.resample(16_000).load_audio().shape == (1, 480_000)
        assert len(back) == len(scope["cuts"])
        assert (back[0].load_audio() == cut.load_audio()).all()
        said = back[0].supervisions[0]
        assert said.text == said.custom["captions"][0]
        print(
            f"{len(back)} cuts, {cut.load_audio().shape}, {cut.sampling_rate} Hz, "
            f"{len(said.custom['captions'])} captions; e.g. {said.text!r}"
        )
