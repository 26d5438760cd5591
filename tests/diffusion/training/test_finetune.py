"""Training from weights: all of them, or matrices of low rank beside the attention; and weights handed on."""

import json

import pytest
import torch
from safetensors.torch import load_file

from diffusion.generation.export import export_models
from diffusion.generation.stage_model import StageModel
from diffusion.model.checkpoint import latest_checkpoint, read_checkpoint
from diffusion.model.config import STAGES
from diffusion.model.lora import add_lora, merge_lora
from diffusion.model.unet import UNet
from diffusion.training.run_log import read_losses
from diffusion.training.train_job import CrateUse, train_stage
from pipeline.errors import BadInput
from tests.diffusion.crates import make_crate
from tests.diffusion.small import small_run, small_stage
from tests.tiny_clap import make_tiny_clap

pytestmark = pytest.mark.slow
STAGE = "waveform-generator"


def tune(clap, crates, out, stage=STAGE, **options):
    changes = {"total_steps": 4, "checkpoint_every": 2, "ema_warmup": False, "ema_decay": 0.5}
    return train_stage(small_run(stage, clap, **changes), crates, out, cpu=True, **options)


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_it_begins_with_the_averaged_weights_and_mixes_a_curated_crate_in(run, crate, clap, tmp_path):
    curated = make_crate(tmp_path / "curated", shards=1, tracks=2, clips=1, clip_s=0.8)
    crates = [CrateUse(crate), CrateUse(curated, 0.25)]
    train_stage(small_run(STAGE, clap, total_steps=1, peak_lr=1e-12), crates, tmp_path / "still", cpu=True,
                init_from=run)  # fmt: skip
    source, made = read_checkpoint(run / STAGE), read_checkpoint(tmp_path / "still")
    for name, tensor in source.tensors("ema").items():
        torch.testing.assert_close(made.tensors("model")[name], tensor, atol=1e-9, rtol=0)
        torch.testing.assert_close(made.tensors("ema")[name], tensor, atol=1e-9, rtol=0)
    assert made.config.init_from == source.state["sha256"]["ema.safetensors"]
    assert [use["weight"] for use in made.data] == [1.0, 0.25]
    tune(clap, crates, tmp_path / "tuned", init_from=run / STAGE)
    assert len(changed(source.tensors("ema"), read_checkpoint(tmp_path / "tuned").tensors("ema"))) > 20


def test_another_run_begins_with_the_network_of_what_it_is_given(run, crate, clap, tmp_path):
    small = small_run(STAGE, clap)
    wide = small.stage.model_copy(update={"unet": small.stage.unet.model_copy(update={"base": 12})})
    config = small.with_changes(stage=wide, total_steps=1)
    trainer = train_stage(config, [CrateUse(crate)], tmp_path / "out", cpu=True, init_from=run)
    assert trainer.stage.unet.base == small.stage.unet.base


def test_lora_trains_the_attention_alone_and_merges(run, crate, clap, tmp_path):
    tune(clap, [CrateUse(crate)], tmp_path / "lora", init_from=run, lora_rank=2)
    source, made = read_checkpoint(run / STAGE).tensors("ema"), read_checkpoint(tmp_path / "lora")
    for name, tensor in made.tensors("model").items():
        if "parametrizations.weight.0" not in name:
            assert torch.equal(tensor, source[name.replace("parametrizations.weight.original", "weight")]), name
    assert set(made.tensors("optimizer")) == {
        f"{moment}.{name}"
        for name in made.tensors("model")
        if "parametrizations.weight.0" in name
        for moment in ("exp_avg", "exp_avg_sq")
    }
    model = StageModel.load(tmp_path / "lora").model
    moved = changed(source, model.state_dict())
    assert moved
    assert all("attention" in name and name.endswith(".weight") for name in moved)
    for name in moved:
        assert torch.linalg.matrix_rank(model.state_dict()[name] - source[name], rtol=1e-3) <= 2
    assert StageModel.load(export(tmp_path / "lora", tmp_path) / STAGE).config == model_config(tmp_path / "lora")


def export(stage_folder, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / STAGE).symlink_to(stage_folder)
    export_models(tmp_path / "runs", tmp_path / "exported")
    return tmp_path / "exported"


def model_config(folder):
    return read_checkpoint(folder).config.stage


def test_lora_is_the_same_function_merged_or_not():
    torch.manual_seed(0)
    model = add_lora(UNet(small_stage(STAGE).unet), 3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    given = {"text_BLW": torch.randn(1, 5, 16), "text_mask_BL": torch.ones(1, 5, dtype=torch.bool)}
    x, t = torch.randn(1, 1, 512), torch.tensor([0.3])
    apart = model(x, t, **given)
    torch.testing.assert_close(merge_lora(model)(x, t, **given), apart)
    assert set(model.state_dict()) == set(UNet(small_stage(STAGE).unet).state_dict())


def test_lora_resumes_to_the_bit(run, crate, clap, tmp_path):
    tune(clap, [CrateUse(crate)], tmp_path / "whole", init_from=run, lora_rank=2)
    tune(clap, [CrateUse(crate)], tmp_path / "parts", init_from=run, lora_rank=2)
    last = latest_checkpoint(tmp_path / "parts" / "checkpoints")
    import shutil

    shutil.rmtree(last)
    (tmp_path / "parts" / "losses.jsonl").unlink()
    tune(clap, [CrateUse(crate)], tmp_path / "parts", init_from=run, lora_rank=2)
    again, whole = read_losses(tmp_path / "parts"), read_losses(tmp_path / "whole")
    assert [line["loss"] for line in again] == [line["loss"] for line in whole][2:]
    for name in ("model", "ema"):
        one, other = (read_checkpoint(tmp_path / part).tensors(name) for part in ("whole", "parts"))
        assert not changed(one, other)


@pytest.mark.parametrize(
    ("stage", "options", "message"),
    [
        (
            "super-resolution",
            {"lora_rank": 4, "init_from": "{run}"},
            "LoRA is for stages that read text, and super-res",
        ),
        ("spectrogram-vocoder", {"lora_rank": 4}, "LoRA is for stages that read text"),
        (STAGE, {"lora_rank": 4}, "give it: --init-from"),
        (STAGE, {"init_from": "{run}/super-resolution"}, "is a checkpoint of super-resolution, expected is waveform"),
        (STAGE, {"init_from": "/nowhere"}, "is not a checkpoint"),
    ],
)
def test_what_does_not_go_together_is_refused(run, crate, clap, tmp_path, stage, options, message):
    from pathlib import Path

    options = {k: Path(v.format(run=run)) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(BadInput, match=message):
        tune(clap, [CrateUse(crate)], tmp_path, stage, **options)
    assert not any(tmp_path.iterdir())


def test_another_text_encoder_is_refused(run, crate, tmp_path):
    other = str(make_tiny_clap(tmp_path / "other", seed=3))
    with pytest.raises(BadInput, match="was made with text encoder"):
        tune(other, [CrateUse(crate)], tmp_path / "out", init_from=run)


@pytest.mark.parametrize("dtype", ["fp32", "fp16"])
def test_what_is_exported_is_read_back(run, crate, clap, tmp_path, dtype):
    sizes = export_models(run, tmp_path / "models", dtype=dtype, licence="cc-by-4.0")
    assert set(sizes) == set(STAGES)
    for stage in STAGES:
        assert sorted(p.name for p in (tmp_path / "models" / stage).iterdir()) == ["model.safetensors", "state.json"]
        ours = load_file(tmp_path / "models" / stage / "model.safetensors")
        theirs = read_checkpoint(run / stage).tensors("ema")
        assert {tensor.dtype for tensor in ours.values()} == {getattr(torch, dtype.replace("fp", "float"))}
        for name, tensor in theirs.items():
            torch.testing.assert_close(ours[name].float(), tensor, atol=1e-3, rtol=1e-3 if dtype == "fp16" else 0)
        assert StageModel.load(tmp_path / "models" / stage).config == model_config(run / stage)
    card = (tmp_path / "models" / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert all(f"| {stage} |" in card for stage in STAGES)
    tune(clap, [CrateUse(crate)], tmp_path / "on", init_from=tmp_path / "models")


def test_an_export_that_was_changed_is_refused(run, tmp_path):
    export_models(run, tmp_path)
    file = tmp_path / STAGE / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(BadInput, match="truncated or changed"):
        StageModel.load(tmp_path / STAGE)
    state = json.loads((tmp_path / STAGE / "state.json").read_text())
    assert set(state["sha256"]) == {"model.safetensors"}


def test_a_folder_without_stages_is_refused(tmp_path):
    with pytest.raises(BadInput, match="no trained stage"):
        export_models(tmp_path, tmp_path / "out")
