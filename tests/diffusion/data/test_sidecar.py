"""Encoded texts: what the encoder says, whoever made them and however often they were stopped."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch

from diffusion.data import encode_texts as module
from diffusion.data.crate_data import CrateClips
from diffusion.data.encode_texts import encode_texts
from diffusion.data.sidecar import Sidecar, drop_tracks, sidecar_folder
from diffusion.data.text_batch import text_batch
from diffusion.data.text_encoder import TextEncoderCard, load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.training.train_job import CrateUse, open_data
from pipeline.errors import BadInput
from tests.diffusion.crates import make_crate
from tests.diffusion.small import small_run
from tests.tiny_clap import make_tiny_clap, tiny_tokenizer

ROOT = Path(__file__).parents[3]
LIMIT = 16


def words(clip):
    own = " ".join(["slow", "piano", "jazz"][: clip % 3 + 1] * (clip % 5 + 1))
    return {"metadata": [f"track {clip}"], "long": [own, "jazz music", "dark bass"], "short": ["warm", "loud"]}


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    torch.set_num_threads(1)
    return str(make_tiny_clap(tmp_path_factory.mktemp("clap")))


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    return make_crate(tmp_path_factory.mktemp("crate"), shards=5, tracks=4, clips=3, clip_s=0.1, words=words)


@pytest.fixture
def clips(crate):
    return CrateClips(crate, [16_000])


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(module, "_PART_TEXTS", 32)
    monkeypatch.setattr(module, "_LOOK_S", 0.01)


def all_texts(clips, encoder):
    known = clips.all_texts(clips.crate.shards)
    return {(track, text) for track, t in known for text in text_batch(t, encoder.token_ends, LIMIT)}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_it_holds_every_text_as_the_encoder_says_it(clips, clap, tmp_path):
    encoder = load_text_encoder(clap)
    texts = {text for _, text in all_texts(clips, encoder)}
    assert encode_texts(tmp_path / "s", clips, encoder, LIMIT) == len(texts)
    sidecar = Sidecar(tmp_path / "s", encoder.card, LIMIT)
    assert len(sidecar) == len(texts) > 32
    assert len(list((tmp_path / "s").glob("*.tokens"))) > 2
    for text in texts:
        one = encoder.encode(text, LIMIT)
        assert sidecar.get(text).shape == one.shape
        np.testing.assert_allclose(sidecar.get(text).astype(np.float32), one.astype(np.float32), atol=2e-3)
    assert sidecar.get("never seen") is None
    with_it, without = TextSource(encoder, LIMIT, [sidecar]), TextSource(encoder, LIMIT)
    for a, b in zip(with_it.batch(["jazz music", ""], "cpu"), without.batch(["jazz music", ""], "cpu"), strict=True):
        torch.testing.assert_close(a, b, atol=2e-3, rtol=0)
    assert not list(tmp_path.glob(".tmp-*"))


def test_three_ranks_make_what_one_makes(clips, clap, tmp_path):
    encode_texts(tmp_path / "one", clips, load_text_encoder(clap), LIMIT)
    with ThreadPoolExecutor(3) as pool:
        ranks = [
            pool.submit(encode_texts, tmp_path / "three", clips, load_text_encoder(clap), LIMIT, rank=r, ranks=3)
            for r in range(3)
        ]
        counts = {rank.result(timeout=120) for rank in ranks}
    assert len(counts) == 1
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


class _Breaks:
    """An encoder that is ended after so many texts, and counts them."""

    def __init__(self, encoder, after):
        self.card, self.most_tokens, self.token_ends = encoder.card, encoder.most_tokens, encoder.token_ends
        self.encoder, self.left, self.seen = encoder, after, 0

    def encode_many(self, texts, limit):
        for item in self.encoder.encode_many(texts, limit):
            if not self.left:
                raise KeyboardInterrupt
            self.left, self.seen = self.left - 1, self.seen + 1
            yield item


def test_what_was_stopped_goes_on_from_its_parts(clips, clap, tmp_path):
    encoder = load_text_encoder(clap)
    count = encode_texts(tmp_path / "whole", clips, encoder, LIMIT)
    broken = _Breaks(encoder, count // 2)
    with pytest.raises(KeyboardInterrupt):
        encode_texts(tmp_path / "s", clips, broken, LIMIT)
    assert not (tmp_path / "s").exists()
    parts = len(list(next(tmp_path.glob(".tmp-s-*")).glob("*.index.npy")))
    assert parts > 0
    rest = _Breaks(encoder, count)
    assert encode_texts(tmp_path / "s", clips, rest, LIMIT) == count
    assert rest.seen < count
    assert contents(tmp_path / "whole") == contents(tmp_path / "s")


@pytest.mark.slow
def test_a_real_kill_loses_nothing(crate, clips, clap, tmp_path):
    program = """
import sys, time
from pathlib import Path
from diffusion.data import encode_texts as m
from diffusion.data.crate_data import CrateClips
from diffusion.data.text_encoder import load_text_encoder
m._PART_TEXTS, write = 32, m.write_array
m.write_array = lambda path, array: (time.sleep(0.2), write(path, array))
m.encode_texts(Path(sys.argv[1]), CrateClips(sys.argv[2], [16000]), load_text_encoder(sys.argv[3]), 16)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "s"), str(crate), clap]
    for _ in range(3):
        process = subprocess.Popen(command, cwd=ROOT)
        had = len(list(tmp_path.glob(".tmp-s-*/*.index.npy")))
        end = time.monotonic() + 120
        while len(list(tmp_path.glob(".tmp-s-*/part-*.index.npy"))) <= had and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(command, cwd=ROOT, check=True)
    encode_texts(tmp_path / "whole", clips, load_text_encoder(clap), LIMIT)
    assert contents(tmp_path / "whole") == contents(tmp_path / "s")


def test_texts_of_tracks_that_were_taken_down_leave_and_the_others_stay(clips, clap, tmp_path):
    encoder = load_text_encoder(clap)
    folder = sidecar_folder(tmp_path, "run", encoder.card, LIMIT)
    encode_texts(folder, clips, encoder, LIMIT)
    owned = all_texts(clips, encoder)
    gone = {"t000000", "t000001"}
    alone = {text for _, text in owned} - {text for track, text in owned if track not in gone}
    before = {text: Sidecar(folder, encoder.card, LIMIT).get(text) for _, text in owned}
    (said,) = drop_tracks(tmp_path, [*gone, "t9"])
    assert f"{len(alone)} of {len(before)} were of these tracks alone" in said
    sidecar = Sidecar(folder, encoder.card, LIMIT)
    assert len(sidecar) == len(before) - len(alone)
    for text, tokens in before.items():
        assert (sidecar.get(text) is None) == (text in alone)
        assert text in alone or np.array_equal(sidecar.get(text), tokens)
    assert list(drop_tracks(tmp_path, gone)) == []


def test_one_of_another_encoder_or_torn_is_refused(clips, clap, tmp_path):
    encoder = load_text_encoder(clap)
    encode_texts(tmp_path / "s", clips, encoder, LIMIT)
    with pytest.raises(BadInput, match="other-name"):
        Sidecar(tmp_path / "s", TextEncoderCard(name="other-name", width=16), LIMIT)
    with pytest.raises(BadInput, match="up to 16 tokens"):
        Sidecar(tmp_path / "s", encoder.card, 32)
    (tmp_path / "s" / "part-0001.tokens").write_bytes(b"12")
    with pytest.raises(BadInput, match="has 2 bytes, expected"):
        Sidecar(tmp_path / "s", encoder.card, LIMIT)


def data(config, crate, encoder, **options):
    said = []
    found = open_data(config, [CrateUse(crate)], encoder=encoder, say=said.append, **options)
    return found, said


def test_a_crate_at_a_url_has_its_texts_where_the_user_says(crate, clap, tmp_path):
    store = fsspec.filesystem("memory")
    store.put(str(crate), "/bucket/crate", recursive=True)
    config = small_run("waveform-generator", clap)
    encoder = load_text_encoder(clap)
    config = config.with_changes(stage=config.stage.model_copy(update={"crop_s": 0.1, "clip_s": 0.1}))
    options = {"encoder": encoder, "text_cache": tmp_path}
    _, said = data(config, "memory://bucket/crate", **options)
    assert any("texts are encoded while training" in line for line in said)
    found, said = data(config, "memory://bucket/crate", encode_text=True, **options)
    assert any("are encoded with" in line for line in said)
    assert found.text.sidecars[0].folder.is_relative_to(tmp_path)
    _, said = data(config, "memory://bucket/crate", encode_text=True, **options)
    assert not any("encoded" in line for line in said)  # it stands
    other = load_text_encoder(str(make_tiny_clap(tmp_path / "other", seed=3)))
    (folder,) = {path.parent for path in tmp_path.rglob("sidecar.json")}
    folder.rename(sidecar_folder(folder.parent, "run", other.card, 64))
    with pytest.raises(BadInput, match="was made with text encoder") as refused:
        data(config, "memory://bucket/crate", encoder=other, text_cache=tmp_path, encode_text=True)
    assert "\n" not in str(refused.value)


def make_t5(folder, seed=0):
    from transformers import T5Config, T5EncoderModel

    torch.manual_seed(seed)
    T5EncoderModel(T5Config(vocab_size=600, d_model=24, d_kv=8, d_ff=32, num_layers=2, num_heads=2)).save_pretrained(
        folder
    )
    tiny_tokenizer().save_pretrained(folder)
    return str(folder)


def test_any_folder_of_a_t5_is_known_by_its_weights(tmp_path, clips):
    encoder = load_text_encoder(make_t5(tmp_path / "t5"))
    assert encoder.card.width == 24
    assert encoder.card.revision
    assert encode_texts(tmp_path / "s", clips, encoder, LIMIT) > 32
    text = "slow piano jazz"
    found = Sidecar(tmp_path / "s", encoder.card, LIMIT).get(text)
    np.testing.assert_allclose(found.astype(np.float32), encoder.encode(text, LIMIT).astype(np.float32), atol=2e-3)
    (tmp_path / "t5").rename(tmp_path / "moved")
    Sidecar(tmp_path / "s", load_text_encoder(str(tmp_path / "moved")).card, LIMIT)  # the same weights elsewhere
    changed = load_text_encoder(make_t5(tmp_path / "t5", seed=1))
    with pytest.raises(BadInput, match="weights were changed"):
        Sidecar(tmp_path / "s", changed.card, LIMIT)
    pickled = tmp_path / "moved"
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(BadInput, match="pickled ones are never loaded"):
        load_text_encoder(str(pickled))
