"""Text batches by hand, encoders that repeat themselves, the sidecar as their equal."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from diffusion.data.text_batch import ClipTexts, cut_to_pieces, text_batch
from diffusion.data.text_encoder import TextEncoderCard, load_text_encoder
from diffusion.data.text_source import TextSource
from pipeline.errors import BadInput
from tests.tiny_clap import make_tiny_clap, tiny_tokenizer


def words(text):
    """A tokenizer with a token a word."""
    ends, at = [], 0
    for word in text.split(" "):
        ends.append((at, at + len(word)))
        at += len(word) + 1
    return ends


def letters(text):
    """One token a letter, and one more for the beginning: pieces grow when they are tokenized alone."""
    return [(0, 0), *((i, i + 1) for i in range(len(text)))]


def test_three_long_captions_and_the_short_ones_in_pieces():
    texts = ClipTexts(long=("One  sentence.", "Two.", "Three."), short=("My Song", "jazz", "slow", "solo piano"))
    assert text_batch(texts, words, 64) == ("One sentence.", "Two.", "Three.", "My Song, jazz, slow, solo piano")
    assert text_batch(texts, words, 3)[3:] == ("My Song, jazz", "slow, solo piano")
    assert text_batch(ClipTexts(), words, 3) == ()
    assert text_batch(ClipTexts(prompt="a b c d"), words, 3) == ("a b c", "d")


@pytest.mark.parametrize("limit", [4, 7, 12, 40])
def test_pieces_hold_the_limit_and_lose_no_word(limit):
    line = "slow jazz, upright bass, brushes, late night, warm"
    pieces = cut_to_pieces(line, letters, limit)
    longest = max(len(word) for word in line.split())
    if limit > longest + 1:
        assert all(len(letters(piece)) <= limit for piece in pieces)
        assert " ".join(pieces).replace(",", "").split() == line.replace(",", "").split()
    assert "".join(pieces).replace(",", "").replace(" ", "") == line.replace(",", "").replace(" ", "")


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    return str(make_tiny_clap(tmp_path_factory.mktemp("clap")))


@pytest.fixture(scope="module")
def t5(tmp_path_factory):
    from transformers import T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("t5")
    tokenizer = tiny_tokenizer()
    config = T5Config(vocab_size=len(tokenizer), d_model=12, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    torch.manual_seed(0)
    T5EncoderModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("which", "width"), [("clap", 16), ("t5", 12)])
def test_encoders_give_a_row_a_token_and_repeat_themselves(which, width, request):
    encoder = load_text_encoder(request.getfixturevalue(which))
    assert encoder.card.width == width
    first = encoder.encode("slow solo piano", 16)
    assert first.shape == (5, width)  # two marks
    assert first.dtype == np.float16
    encoder.encode("fast drums", 16)
    assert np.array_equal(encoder.encode("slow solo piano", 16), first)
    assert encoder.encode("piano " * 40, 16).shape == (16, width)
    assert len(encoder.token_ends("slow solo piano")) == 5


def test_a_clap_tower_is_the_models_own(clap):
    from transformers import ClapModel

    encoder = load_text_encoder(clap)
    model = ClapModel.from_pretrained(clap).eval()
    tokens = tiny_tokenizer()("slow solo piano", return_tensors="pt")
    with torch.no_grad():
        expected = model.text_model(**tokens).last_hidden_state[0].numpy()
    np.testing.assert_allclose(encoder.encode("slow solo piano", 32), expected, atol=2e-3)


def test_unknown_encoders_are_refused(tmp_path):
    with pytest.raises(BadInput, match="bundled"):
        load_text_encoder(str(tmp_path / "nowhere" / "at" / "all"))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BadInput, match="'bert'"):
        load_text_encoder(str(tmp_path))


def test_text_source_masks_and_draws_evenly(clap):
    source = TextSource(load_text_encoder(clap), 8)
    tokens, mask = source.batch(["jazz", ""], "cpu")
    assert tokens.shape == (2, 8, 16)
    assert mask.sum(1).tolist() == [3, 1]
    texts = ClipTexts(long=("a", "b", "c"), short=("d",))
    assert [source.draw(texts, (i + 0.5) / 4) for i in range(4)] == ["a", "b", "c", "d"]
    assert source.draw(ClipTexts(), 0.9) == ""


def test_an_encoder_is_known_by_its_weights_where_they_are_known():
    ours = TextEncoderCard(name="a", width=4, revision="1")
    ours.refuse_other({"name": "moved", "width": 4, "revision": "1"}, "x")
    with pytest.raises(BadInput, match="weights were changed"):
        ours.refuse_other({"name": "a", "width": 4, "revision": "2"}, "x")
    with pytest.raises(BadInput, match="--text-encoder t5"):
        TextEncoderCard(name="t6", width=4).refuse_other({"name": "t5", "width": 4, "revision": ""}, "x")


def test_an_encoder_that_reads_less_than_the_stage_would(clap):
    """The bundled tower reads 64 tokens, the spectrogram generator would take 96."""
    encoder = load_text_encoder(clap)
    assert encoder.most_tokens == 64
    source = TextSource(encoder, 96)
    assert source.limit == 64
    tokens, mask = source.batch(["piano " * 200], "cpu")
    assert tokens.shape == (1, 64, 16)
    assert mask.all()
    pieces = [source.draw(ClipTexts(short=("jazz",) * 100), (i + 0.5) / 4) for i in range(4)]
    assert all(len(encoder.token_ends(piece)) <= 64 for piece in pieces)


def test_a_server_s_threads_share_one_encoder(tmp_path):
    encoder = load_text_encoder(str(make_tiny_clap(tmp_path)))

    def ask(i):
        texts = [f"slow piano {i}"] * (1 + i % 7)
        return len(list(encoder.encode_many(texts, 8 + i % 40))), len(encoder.token_ends(texts[0] * 20)) > 0

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(200))) == [(1 + i % 7, True) for i in range(200)]
