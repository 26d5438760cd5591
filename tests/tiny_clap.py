"""A ClapModel folder with random weights that is small, valid and not collapsed, for tests that need an embedder.

    folder = make_tiny_clap(tmp_path / "clap")
    embedder = load_embedder(str(folder))

Its embeddings mean nothing, but they differ from sound to sound and from word to word, they have a whole front end and
tokenizer around them, and the same arguments give the same folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["WORDS", "make_tiny_clap", "tiny_tokenizer"]

WORDS = tuple(
    """a an the of and with for in on at to is it this that by from , . - ' music song track piece sound recording
    featuring features played plays playing performed performance piano guitar violin cello flute trumpet saxophone
    organ harp bass drums drum percussion strings brass synth synthesizer pad lead electric acoustic solo ensemble
    orchestra orchestral band choir voice vocal vocals singer female male slow fast medium tempo calm energetic happy
    sad dark bright soft loud quiet aggressive relaxing romantic epic rock jazz blues pop funk folk classical
    electronic ambient techno house disco reggae country metal hip hop latin waltz march lullaby minor major key beat
    rhythm groove melody melodic harmony chord chords low high deep warm cold sparse dense simple complex instrumental
    no without style mood genre instrument live studio noisy quality poor good melancholic uplifting driving steady
    background foreground film game dance party""".split()
)


def tiny_tokenizer(words: Sequence[str] = WORDS, *, limit: int = 64) -> Any:
    """A WordLevel tokenizer in RoBERTa's order of marks, with `words` and nothing else."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {word: i for i, word in enumerate([*marks, *dict.fromkeys(words)])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        model_max_length=limit,
        model_input_names=["input_ids", "attention_mask"],
    )


def make_tiny_clap(
    folder: Path,
    *,
    seed: int = 0,
    sample_rate_hz: int = 24_000,
    window_s: int = 10,
    dimension: int = 16,
    words: Sequence[str] = WORDS,
    text_limit: int = 64,
    fusion: bool = False,
    half: bool = False,
) -> Path:
    """Saves the model, its processor and its tokenizer; `half` saves float16 weights, as the bundled model has them."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

    from labeling.embedders.torch_device import quiet

    tokenizer = tiny_tokenizer(words, limit=text_limit)
    hop = -(-window_s * sample_rate_hz // 255)  # 256 frames at most: 4 x the 64 x 64 picture's side over its 16 bands
    extractor = ClapFeatureExtractor(
        truncation="fusion" if fusion else "rand_trunc",
        sampling_rate=sample_rate_hz,
        max_length_s=window_s,
        feature_size=16,
        hop_length=hop,
        fft_window_size=512,
        frequency_min=50,
        frequency_max=min(8_000, sample_rate_hz // 2 - 200),
    )
    config = ClapConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": text_limit + 2,
        },
        audio_config={
            "window_size": 4,
            "num_mel_bins": 16,
            "spec_size": 64,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "patch_embeds_hidden_size": 8,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "enable_fusion": fusion,
            "fusion_type": "aff_2d" if fusion else None,
            "num_classes": 1,
        },
        projection_dim=dimension,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = ClapModel(config).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.ndim >= 2:
                    weight.normal_(0.0, 1.0 if "embeddings" in name else 1.5 / weight[0].numel() ** 0.5)
            _spread(model, tokenizer, extractor)
    if half:
        model = model.half()
    with quiet():
        model.save_pretrained(folder)
    ClapProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder


def _spread(model: Any, tokenizer: Any, extractor: Any) -> None:
    """Centre both towers on zero over a few sounds and words: random networks point all their outputs one way."""
    import torch

    from labeling.embedders.mel import LogMel

    rng = np.random.default_rng(0)
    t = np.arange(extractor.nb_max_samples) / extractor.sampling_rate
    tones = [np.sin(2 * np.pi * f * t) * (0.2 + (t * r % 1)) for f, r in ((110, 1), (440, 2), (1760, 4), (3000, 0.5))]
    sounds = [*tones, rng.normal(size=t.size), rng.normal(size=t.size) * (t * 3 % 1), np.sign(tones[0])]
    mels = torch.from_numpy(LogMel.like(extractor).batch(np.stack([0.2 * s for s in sounds]).astype(np.float32)))
    norm = model.audio_model.audio_encoder.batch_norm
    norm.running_mean.copy_(mels.mean((0, 1)))
    norm.running_var.copy_(mels.var((0, 1)))
    features = mels[:, None].expand(-1, 4 if model.config.audio_config.enable_fusion else 1, -1, -1)
    longer = torch.zeros(len(mels), 1, dtype=torch.bool)
    heard = model.audio_projection(model.audio_model(features, is_longer=longer).pooler_output)
    model.audio_projection.linear2.bias -= heard.mean(0)
    texts = [f"{WORDS[i]} {WORDS[i + 1]} {WORDS[i + 2]}" for i in range(25, len(WORDS) - 2, 3)]
    read = model.text_projection(model.text_model(**tokenizer(texts, padding=True, return_tensors="pt")).pooler_output)
    model.text_projection.linear2.bias -= read.mean(0)
