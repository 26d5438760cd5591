"""Is each refining stage closer to the truth than what it was given? And the vocoder than what its mel gives alone?

    python -m benchmarks.diffusion_refine --crate CRATE --from runs/tiny

Log-spectral distance on held-out clips, in dB: root mean square over frequencies, mean over frames, of the difference
of log power spectra (FFT 1024, Hann), for three floors: what is below so many dB of full scale counts as that, so the
lowest floor weighs inaudible noise like music, and the highest hears the loud part alone. Crops are of test tracks,
which neither training nor the choice of settings has seen. Losses, of the noise and on validation tracks, are those of
a predictor of zero noise, of the untrained network, and of the trained one's moving average. Beside the vocoder stands
what its mel gives without a model: noise, coloured and fitted in the same way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from diffusion.data.crate_data import CrateClips
from diffusion.data.example import audio_needed
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import read_checkpoint
from diffusion.model.config import STAGES, SamplingConfig
from diffusion.process.invert import invert_mel
from diffusion.process.upsample import fft_upsample
from diffusion.process.whiten import colour, fit_mel
from diffusion.training.demos import true_condition, truth

__all__ = ["log_spectral_distance", "main"]


FLOORS_DB = (-60.0, -80.0, -100.0)


def log_spectral_distance(a: NDArray[np.float32], b: NDArray[np.float32], floor_db: float = -100.0) -> float:
    """In dB, of two waveforms of one length."""
    spectra = []
    window = torch.hann_window(1024)
    for audio in (a, b):
        spectrum = torch.stft(torch.from_numpy(audio), 1024, 256, window=window, return_complex=True) / window.sum()
        spectra.append(10 * torch.log10(spectrum.abs().square().clamp(min=10 ** (floor_db / 10))))
    return float((spectra[0] - spectra[1]).square().mean(0).sqrt().mean())


def refine(
    stage_folder: Path,
    crate: Path,
    labels: str | None,
    clips: int,
    encoder: str | None,
    part: str,
    changes: Mapping[str, Any],
) -> dict[str, Any]:
    """Distances of input and output to the truth, averaged over crops of held-out clips."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = StageModel.load(stage_folder, device)
    config, trained = model.config, read_checkpoint(stage_folder).config
    opened = CrateClips(crate, audio_needed(config).rates_hz, labels=labels, text=config.uses_text)
    held = getattr(opened.split(trained.holdout_share), part)
    loader = ClipLoader([ClipSource(opened, held)], config, seed=1, text_drop=0.0)
    examples = [loader.example(i) for i in range(clips)]
    texts = source = None
    if config.uses_text:
        loaded = load_text_encoder(encoder or model.encoder_source, device=device)
        loaded.card.refuse_other(model.text_encoder or {}, str(model.folder))
        source = TextSource(loaded, config.token_limit)
        texts = [source.draw(example.texts, example.text_uniform) or "music" for example in examples]
    condition = true_condition(examples, config)
    assert condition is not None
    settings = SamplingConfig.model_validate({**config.sampling.model_dump(), **changes})
    made = model.generate(
        range(clips), config.train_s, texts=texts, text_source=source, condition=condition, sampling=settings
    )[:, 0].cpu().numpy()  # fmt: skip
    true = truth(examples, config)[:, 0].numpy()
    if config.uses_mel and config.mel:
        given = invert_mel(condition.cpu(), config.mel).numpy()
        name = "without_a_model"
    else:
        assert config.condition_rate_hz is not None
        given = fft_upsample(condition, config.condition_rate_hz, config.target_rate_hz).numpy()
        name = "input_upsampled"
    before, after = _distances(true, given), _distances(true, made)
    found = {name: _by_floor(before.mean(1)), "stage": _by_floor(after.mean(1))}
    found["share_of_crops_closer"] = _by_floor((after < before).mean(1))
    if config.uses_mel and config.mel:
        noise_BT = torch.from_numpy(np.random.default_rng(0).standard_normal(true.shape, dtype=np.float32))
        mel = condition.cpu()
        coloured = fit_mel(colour(noise_BT, mel, config.mel), mel, config.mel, settings.mel_fits)
        found["noise_with_the_mel"] = _by_floor(_distances(true, coloured.numpy()).mean(1))
    return {**found, "crops": clips, "steps": settings.steps}


def _distances(true: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """(floors, crops)."""
    pairs = list(zip(true, other, strict=True))
    return np.array([[log_spectral_distance(t, o, floor) for t, o in pairs] for floor in FLOORS_DB])


def _by_floor(values: NDArray[np.float64]) -> dict[str, float]:
    return {f"floor_{floor:g}": round(float(value), 2) for floor, value in zip(FLOORS_DB, values, strict=True)}


def losses(stage_folder: Path) -> dict[str, float]:
    held = read_checkpoint(stage_folder).state["held_out_loss"]
    return {name: round(held[name], 4) for name in ("zero", "start", "ema") if name in held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--crate", type=Path, required=True)
    parser.add_argument("--from", dest="run", type=Path, required=True)
    parser.add_argument("--labels")
    parser.add_argument(
        "--part", choices=["validation", "test"], default="test", help="settings are tuned on the first"
    )
    parser.add_argument("--clips", type=int, default=16, help="crops")
    parser.add_argument("--steps", type=int, help="sampling steps (default: as trained)")
    parser.add_argument("--text-encoder", help="where it is, if it was moved")
    args = parser.parse_args()
    changes = {"steps": args.steps} if args.steps else {}
    found: dict[str, Any] = {}
    for stage in STAGES:
        if not (args.run / stage / "checkpoints").is_dir():
            continue
        found[stage] = {"loss": losses(args.run / stage)}
        if not stage.endswith("generator"):
            distance = refine(
                args.run / stage, args.crate, args.labels, args.clips, args.text_encoder, args.part, changes
            )
            found[stage]["log_spectral_distance_db"] = distance
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
