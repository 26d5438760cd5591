"""Trained stages to hand on: the averaged weights alone, as safetensors, with a model card. `cratedig generate`,
`serve` and `train --init-from` take such a folder where they take a run.

models/tiny/
    README.md                       the card
    waveform-generator/
        model.safetensors           the averaged weights, LoRA merged
        state.json                  configuration, text encoder, data, sha256
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import read_checkpoint, save_weights
from diffusion.model.config import STAGES
from pipeline.errors import BadInput

__all__ = ["DTYPES", "export_models"]

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def export_models(
    run: Path, out: Path, *, dtype: Literal["fp32", "fp16", "bf16"] = "fp32", licence: str = ""
) -> dict[str, int]:
    """Every stage of a run that has a checkpoint; returns the bytes of each. A stage exported before is replaced."""
    found = [stage for stage in STAGES if (run / stage).is_dir()]
    if not found:
        raise BadInput(f"{run} holds no trained stage; give a folder that `cratedig train` wrote")
    written, about = dict[str, int](), []
    for stage in found:
        checkpoint, model = read_checkpoint(run / stage), StageModel.load(run / stage)
        weights = model.model.to(DTYPES[dtype]).state_dict()
        if bad := [name for name, tensor in weights.items() if not torch.isfinite(tensor).all()]:
            raise BadInput(f"{stage}: {bad[0]} does not fit into {dtype}; use --dtype bf16 or fp32")
        config = checkpoint.config.with_changes(lora_rank=0)
        extra = {"held_out_loss": checkpoint.state.get("held_out_loss"), "lora_rank": checkpoint.config.lora_rank}
        folder = save_weights(
            out / stage, checkpoint.step, config, weights, text_encoder=checkpoint.text_encoder,
            data=checkpoint.data, extra=extra,
        )  # fmt: skip
        written[stage] = sum(file.stat().st_size for file in folder.iterdir())
        about.append({"stage": stage, "weights": sum(p.numel() for p in model.model.parameters()), **vars(checkpoint)})
    (out / "README.md").write_text(_card(about, out.resolve().name, dtype, licence), encoding="utf-8")
    return written


def _card(stages: Sequence[Mapping[str, Any]], name: str, dtype: str, licence: str) -> str:
    """Markdown with the front matter that the Hugging Face hub reads."""
    rows = []
    for about in stages:
        config, loss = about["config"].stage, about["state"].get("held_out_loss") or {}
        makes = (
            "log-mel, 80 x 100 fps"
            if config.makes_mel
            else f"{config.target_rate_hz / 1000:g} kHz{', stereo' if config.stereo else ''}"
        )
        encoder = (about["text_encoder"] or {}).get("name", "none")
        measured = f"{loss['ema']:.3f} ({loss['zero']:.3f})" if {"ema", "zero"} <= set(loss) else ""
        rows.append(
            f"| {about['stage']} | {about['weights'] / 1e6:.2f} M | {makes} | {encoder} | {about['step']} "
            f"| {config.sampling.steps or config.sampling.schedule} | {measured} |"
        )
    crates = {json.dumps(use, sort_keys=True) for about in stages for use in about["data"]}
    data = [f"- crate `{u['crate']}`, labels `{u['labels']}`, {u['clips']} clips, weight {u['weight']:g}"
            for u in map(json.loads, sorted(crates))]  # fmt: skip
    tuned = [about["stage"] for about in stages if about["config"].init_from]
    front = ["---", *([f"license: {licence}"] if licence else []), "library_name: cratedig",
             "pipeline_tag: text-to-audio", "tags: [music, text-to-music, diffusion, noise2music]", "---"]  # fmt: skip
    lines = [
        *front,
        f"# {name}",
        "",
        "Stages of a text-to-music diffusion cascade after Noise2Music ([arXiv 2302.03917]"
        "(https://arxiv.org/abs/2302.03917)), trained with cratedig: the moving average of the weights, "
        f"{dtype}, safetensors.",
        "",
        "| stage | parameters | makes | text encoder | trained steps | sampling | validation loss (of zero noise) |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        "## Use",
        "",
        f'    cratedig generate "slow solo piano" --from {name} -o piano.wav',
        f"    cratedig serve --from {name}",
        f"    cratedig train STAGE --init-from {name} --crate CRATE --run RUN --out runs/tuned",
        "",
        "## Trained on",
        "",
        *data,
        *([f"- fine-tuned from other weights: {', '.join(tuned)}"] if tuned else []),
        "",
        "The hashes are those in `crate.json` and `run.json` of the crates; their cards say where the music is from.",
        "Music that a model makes can resemble what it was trained on; the licences of that music may bind you.",
    ]
    return "\n".join(lines) + "\n"
