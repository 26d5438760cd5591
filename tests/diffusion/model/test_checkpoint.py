"""Checkpoints: complete or not there, never unpickled, every damage named."""

import errno
import json
import pickle

import pytest
import torch

from diffusion.model.checkpoint import latest_checkpoint, list_checkpoints, read_checkpoint, save_checkpoint
from pipeline.errors import BadInput, RunFailed
from tests.diffusion.small import small_run


def save(root, step, keep=2):
    tensors = {"a.b": torch.full((2, 3), float(step)), "c": torch.arange(4, dtype=torch.bfloat16)}
    state = {"model": tensors, "ema": tensors, "optimizer": {"exp_avg.a.b": torch.zeros(2, 3)}}
    config = small_run("spectrogram-vocoder", "bundled")
    return save_checkpoint(root, step, config, state, text_encoder={"name": "x", "width": 4}, data=[], keep=keep)


def test_what_goes_in_comes_out(tmp_path):
    save(tmp_path / "checkpoints", 7)
    found = read_checkpoint(tmp_path)
    assert found.step == 7
    assert found.config == small_run("spectrogram-vocoder", "bundled")
    assert torch.equal(found.tensors("model")["a.b"], torch.full((2, 3), 7.0))
    assert found.tensors("ema")["c"].dtype == torch.bfloat16


def test_the_last_are_kept(tmp_path):
    for step in (1, 20, 300):
        save(tmp_path, step)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00000020", "step-00000300"]


def test_a_full_disk_loses_nothing_finished(tmp_path, monkeypatch):
    from diffusion.model import checkpoint

    good = save(tmp_path, 1, keep=1)

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "_write", full)
    with pytest.raises(RunFailed, match=r"no space left.*step-00000001"):
        save(tmp_path, 2, keep=1)
    assert latest_checkpoint(tmp_path) == good
    assert not list(tmp_path.glob(".tmp-*"))
    read_checkpoint(good).tensors("model")


def test_what_a_killed_writer_left_is_no_checkpoint(tmp_path):
    (tmp_path / ".tmp-step-00000009").mkdir()
    (tmp_path / "step-00000008").mkdir()
    save(tmp_path, 5)
    assert latest_checkpoint(tmp_path).name == "step-00000005"


@pytest.mark.parametrize("name", ["model", "ema", "optimizer"])
def test_truncated_tensors_are_named(tmp_path, name):
    folder = save(tmp_path, 1)
    file = folder / f"{name}.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(BadInput, match=f"{name}.safetensors is truncated or changed"):
        read_checkpoint(folder).tensors(name)


def test_a_pickle_is_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(BadInput, match="never loaded"):
        read_checkpoint(tmp_path)
    with pytest.raises(BadInput, match="never loaded"):
        read_checkpoint(tmp_path / "model.pt")
    folder = save(tmp_path / "c", 1)
    data = pickle.dumps(Bomb())
    (folder / "ema.safetensors").write_bytes(data)
    with pytest.raises(BadInput, match="truncated or changed"):
        read_checkpoint(folder).tensors("ema")
    # Even with a matching hash it is read as safetensors, and is none.
    import hashlib

    state = json.loads((folder / "state.json").read_text())
    state["sha256"]["ema.safetensors"] = hashlib.sha256(data).hexdigest()
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(BadInput, match="safetensors"):
        read_checkpoint(folder).tensors("ema")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("config"), "cannot be understood"),
        (lambda state: state.update(format=99), "format 99"),
        (lambda state: state["config"].update(global_batch=-1), "cannot be understood"),
    ],
)
def test_a_state_that_makes_no_sense(tmp_path, change, message):
    folder = save(tmp_path, 1)
    state = json.loads((folder / "state.json").read_text())
    change(state)
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(BadInput, match=message):
        read_checkpoint(folder)


def test_no_checkpoint_yet(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(BadInput, match="train it first"):
        read_checkpoint(tmp_path)
