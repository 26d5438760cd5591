"""Does the text steer what is generated? Two clearly different classes, 20 prompts never trained on, guidance on.

    python -m benchmarks.diffusion_conditioning --out NEW_FOLDER

A generator is trained on a corpus made for this (deep drones, bright bells); the feature is the spectral centroid of
what it generates, and the border between the classes is the geometric mean of the corpus's two. Exit code 1 below 90 %.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.stage_model import StageModel
from diffusion.model.config import SamplingConfig
from diffusion.training.runs import tiny
from diffusion.training.train_job import CrateUse, train_stage
from tests.diffusion.crates import make_crate

DEEP_TRAINED = ("slow bass music", "a dark drone", "low bass sound", "a slow dark piece", "heavy bass drone")
BRIGHT_TRAINED = ("bright bells", "a music box", "high bright sound", "happy bells music", "a bright flute")
DEEP = (
    "a slow bass drone", "dark bass", "low dark music", "a heavy dark drone", "slow low bass", "dark heavy sound",
    "a low drone", "a dark slow bass sound", "heavy slow music", "bass and drone",
)  # fmt: skip
BRIGHT = (
    "a happy music box", "bright happy music", "high bells", "a flute and bells", "bright high flute",
    "happy high sound", "a bright music box", "high flute music", "bells and flute", "a happy bright piece",
)  # fmt: skip


def sound(clip: int, seconds: float) -> np.ndarray:
    """Even clips are deep, odd ones bright."""
    random = np.random.default_rng(clip)
    t = np.arange(round(24_000 * seconds)) / 24_000
    low, high = ((55, 110), (700, 1_300))[clip % 2]
    pitch = random.uniform(low, high)
    tone = np.sin(2 * np.pi * pitch * t + random.uniform(0, 6)) + 0.3 * np.sin(2 * np.pi * 1.5 * pitch * t)
    pulse = 0.6 + 0.4 * np.sin(2 * np.pi * random.uniform(0.5, 3) * t)
    return (0.3 * tone * pulse + 0.003 * random.standard_normal(len(t))).astype(np.float32)


def words(clip: int) -> dict[str, Any]:
    trained = (DEEP_TRAINED, BRIGHT_TRAINED)[clip % 2]
    return {"long": [trained[(clip // 2 + i) % 5] for i in range(3)], "short": [trained[(clip // 2 + 3) % 5]]}


def centroid_hz(audio: np.ndarray, rate: int) -> float:
    """Where the middle of the power lies, on a logarithmic scale."""
    power = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    frequency = np.fft.rfftfreq(len(audio), 1 / rate)
    keep = (frequency > 30) & (frequency < 1_500)
    return float(np.exp((np.log(frequency[keep]) * power[keep]).sum() / power[keep].sum()))


def conditioning(
    out: Path,
    *,
    encoder: str,
    steps: int,
    prompts: int = 10,
    guidances: tuple[float, ...] = (1.0, 3.0),
    seconds: float = 1.28,
) -> dict[str, Any]:
    """Train, generate, count; `prompts` of each class."""
    crate = make_crate(out / "crate", shards=4, tracks=4, clips=2, clip_s=seconds, sound=sound, words=words)
    base = tiny("waveform-generator")
    stage = base.stage.model_copy(update={"crop_s": seconds, "clip_s": seconds})
    config = base.with_changes(
        stage=stage, text_encoder=encoder, total_steps=steps, cosine_steps=steps, global_batch=8, device_batch=8,
        checkpoint_every=steps, log_every=50,
    )  # fmt: skip
    train_stage(config, [CrateUse(crate)], out / "run", cpu=not torch.cuda.is_available())
    model = StageModel.load(out / "run", "cuda" if torch.cuda.is_available() else "cpu")
    text = TextSource(load_text_encoder(encoder), model.config.token_limit)
    border = float(np.sqrt(np.prod([np.mean([centroid_hz(sound(c, seconds)[::5], 4_800) for c in range(k, 32, 2)])
                                    for k in (0, 1)])))  # fmt: skip
    asked = [(p, 0) for p in DEEP[:prompts]] + [(p, 1) for p in BRIGHT[:prompts]]
    result: dict[str, Any] = {"border_hz": round(border), "steps": steps}
    for guidance in guidances:
        settings = SamplingConfig(steps=50, guidance=guidance)
        audio = model.generate(
            range(len(asked)), seconds, texts=[p for p, _ in asked], text_source=text, sampling=settings
        )[:, 0].cpu().numpy()  # fmt: skip
        heard = [centroid_hz(clip, 3_200) for clip in audio]
        right = [int((hz > border) == bool(kind)) for hz, (_, kind) in zip(heard, asked, strict=True)]
        result[f"guidance_{guidance:g}"] = {
            "right": sum(right),
            "of": len(right),
            "centroids_hz": {p: round(hz) for (p, _), hz in zip(asked, heard, strict=True)},
        }
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {**result, "cpu_s": round(usage.ru_utime + usage.ru_stime)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--steps", type=int, default=200)
    args = parser.parse_args()
    result = conditioning(args.out, encoder=args.encoder, steps=args.steps)
    print(json.dumps(result, indent=1))
    guided = result["guidance_3"]
    return 0 if guided["right"] >= 0.9 * guided["of"] else 1


if __name__ == "__main__":
    sys.exit(main())
