"""audiocraft 1.3.0's MusicDataset.from_meta, as its MusicGen solver calls it: 32 kHz mono, stretches of 30 s.

Stood in: xformers, demucs, spacy and its file of clusters, which the dataset never needs; torchaudio's decoder
(soundfile); the packages' `__init__`, which import every model.
"""

import os
import sys
import tempfile
from pathlib import Path

import torch
from stand_ins import soundfile_decodes_for_torchaudio, stand_in, without_init

with tempfile.NamedTemporaryFile(
    "w", suffix=".yaml", delete=False
) as teams:  # its own folder of settings is not packed
    teams.write("default: {default: {dora_dir: /nowhere, partitions: {global: a, team: b}, reference_dir: /nowhere}}")
os.environ["AUDIOCRAFT_CONFIG"] = teams.name
without_init("audiocraft", "audiocraft.data", "audiocraft.modules")
stand_in("xformers", "xformers.ops", "demucs", "demucs.apply", "demucs.audio", "demucs.pretrained", "spacy")
soundfile_decodes_for_torchaudio()

from audiocraft.data.music_dataset import MusicDataset  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

if __name__ == "__main__":
    root = Path(sys.argv[1])
    config = OmegaConf.load(root / "audiocraft" / "dset" / "audio" / "cratedig.yaml")
    assert config.datasource.max_sample_rate == 32_000, config
    data = MusicDataset.from_meta(
        config.datasource.train,
        segment_duration=30.0,
        min_segment_ratio=config.dataset.train.min_segment_ratio,
        num_samples=120,
        sample_rate=32_000,
        channels=1,
        sample_on_weight=False,
        sample_on_duration=False,
        shuffle=True,
    )
    loader = torch.utils.data.DataLoader(data, batch_size=4, collate_fn=data.collater)
    drawn: dict[str, set[str]] = {}
    for wav, infos in loader:
        assert tuple(wav.shape) == (4, 1, 960_000), wav.shape
        for info in infos:
            assert isinstance(info.description, str), info
            assert info.keywords, info
            assert info.n_frames == info.total_frames, "silence fills a segment"
            drawn.setdefault(Path(info.meta.path).stem.rpartition("-")[0], set()).add(info.description)
    varied = sum(len(texts) > 1 for texts in drawn.values())
    assert varied, "no clip was given two different captions"
    text = infos[0].to_condition_attributes().text
    print(
        f"{tuple(wav.shape)}, 32000 Hz, {varied} of {len(drawn)} clips with more than one caption; e.g. "
        f"{text['description']!r}, keywords {text['keywords']!r}"
    )
