"""stable-audio-tools 0.0.20 by its own create_dataloader_from_config: tars (dataset_type wds), or a folder (audio_dir).

Stood in: torchaudio's decoder (soundfile); the package's `__init__`, which imports models.
"""

import json
import sys
from pathlib import Path

from stand_ins import soundfile_decodes_for_torchaudio, without_init

without_init("stable_audio_tools", "stable_audio_tools.data")
soundfile_decodes_for_torchaudio()

from stable_audio_tools.data.dataset import create_dataloader_from_config  # noqa: E402

SECONDS, RATE = 11, 44_100


def one(value):  # as models/conditioners.py does before it encodes
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


if __name__ == "__main__":
    root = Path(sys.argv[1])
    config = json.loads((root / "dataset_config.json").read_text()) | {"epoch_steps": 40}
    loader = create_dataloader_from_config(
        config, batch_size=4, sample_size=RATE * SECONDS, sample_rate=RATE, audio_channels=2, num_workers=1
    )
    drawn: dict[str, set[str]] = {}
    shape, stereo = None, False
    for _epoch in range(6):
        for step, (audio, infos) in enumerate(loader):
            audio = audio[0] if audio.ndim == 4 else audio  # its training step takes the loader's own batch of one off
            assert tuple(audio.shape) == (4, 2, RATE * SECONDS), audio.shape
            shape = tuple(audio.shape)
            stereo |= any((a[0] - a[1]).abs().max().item() > 1e-4 for a in audio)
            for info in infos:
                assert isinstance(one(info["prompt"]), str), info["prompt"]
                key = str(one(info["id"] if "id" in info else info["relpath"]))
                drawn.setdefault(key, set()).add(one(info["prompt"]))
            if step == 6:
                break
    varied = sum(len(prompts) > 1 for prompts in drawn.values())
    assert varied, "no clip was given two different captions"
    assert stereo, "left and right are the same in every clip"
    print(
        f"{shape}, {RATE} Hz, {varied} of {len(drawn)} clips with more than one caption; "
        f"e.g. {one(infos[0]['prompt'])!r}"
    )
