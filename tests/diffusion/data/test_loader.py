"""Examples and batches: exact lengths, the same from any thread count, resumable, per-sample noise."""

import numpy as np
import pytest
import torch

from diffusion.data.batch import make_batch
from diffusion.data.crate_data import CrateClips
from diffusion.data.example import audio_needed, make_example
from diffusion.data.loader import ClipLoader, ClipSource
from diffusion.data.text_batch import ClipTexts
from diffusion.data.text_encoder import load_text_encoder
from diffusion.data.text_source import TextSource
from diffusion.model.config import STAGES
from diffusion.process.mel import log_mel
from diffusion.training.runs import tiny
from pipeline.errors import CrateMismatch
from tests.diffusion.crates import make_crate
from tests.tiny_clap import make_tiny_clap


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    return make_crate(tmp_path_factory.mktemp("crate"), shards=3, tracks=2, clips=2, clip_s=1.6)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return TextSource(load_text_encoder(str(make_tiny_clap(tmp_path_factory.mktemp("clap")))), 16)


def short(stage, crop_s=0.8, **changes):
    return tiny(stage).stage.model_copy(update={"crop_s": crop_s, **changes})


def loader(crate, stage, threads=1, **options):
    clips = CrateClips(crate, audio_needed(stage).rates_hz, text=stage.uses_text)
    rows = clips.split(0.0).train
    return ClipLoader([ClipSource(clips, rows)], stage, seed=3, text_drop=0.25, threads=threads, **options)


@pytest.mark.parametrize("name", STAGES)
def test_what_each_stage_gets(crate, text, name):
    stage = short(name)
    examples = [loader(crate, stage).example(i) for i in range(3)]
    batch = make_batch(examples, stage, text if stage.uses_text else None, "cpu")
    length = stage.length(0.8)
    assert batch.clean_BCT.shape == batch.noise_BCT.shape == (3, stage.unet.signal_channels, length)
    assert batch.clean_BCT.abs().max() <= stage.clip_limit * 1.2
    shapes = {name: tuple(value.shape) for name, value in batch.conditions.items()}
    assert ("stacked_BCT" in shapes) == (name in ("waveform-cascader", "super-resolution"))
    assert ("aligned_BCT" in shapes) == (name == "spectrogram-vocoder")
    assert ("text_BLW" in shapes) == stage.uses_text
    if "aligned_BCT" in shapes:
        assert shapes["aligned_BCT"] == (3, 80, 80)


def test_the_crop_is_the_clips_own_audio(crate):
    """The condition is what the target holds below the lower rate's Nyquist frequency, aligned to the sample."""
    stage = short("super-resolution", augment_t_max=None, diffuses="target", signal_gain=8.0)
    example = loader(crate, stage).example(0)
    batch = make_batch([example], stage, None, "cpu")
    target, condition = batch.clean_BCT[0, 0], batch.conditions["stacked_BCT"][0, 0]
    spectrum = torch.fft.rfft(target)
    spectrum[int(7_500 / 24_000 * len(target)) :] = 0
    low = torch.fft.irfft(spectrum, n=len(target))
    assert (low - condition)[500:-500].square().mean() < 0.02 * low.square().mean()


def test_a_crops_mel_is_the_clips_mel(crate):
    stage = short("spectrogram-generator")
    one = loader(crate, stage).example(4)
    whole = log_mel(torch.from_numpy(one.target)[None], stage.mel)
    batch = make_batch([one], stage, None, "cpu")
    torch.testing.assert_close(batch.clean_BCT[0], whole[0, :, 10:90])


def test_threads_and_restarts_change_nothing(crate):
    stage = short("waveform-cascader")
    positions = [list(range(i, i + 4)) for i in range(0, 40, 4)]

    def run(threads, start=0):
        found = loader(crate, stage, threads=threads, window=2, prefetch=3).batches(iter(positions[start:]))
        return [[(e.clip_id, e.t, e.keep_text, float(e.noise.sum()), float(e.target.sum())) for e in b] for b in found]

    whole = run(1)
    assert run(4) == whole
    assert run(3, start=6) == whole[6:]
    assert len({e[1] for b in whole for e in b}) == 40
    keeps = np.mean([e[2] for b in whole for e in b])
    assert 0.5 < keeps < 0.95  # text_drop 0.25


def test_dropped_text_and_clips_without_words_are_not_attended_to(crate, text):
    stage = short("waveform-generator")
    examples = [loader(crate, stage).example(i) for i in range(12)]
    batch = make_batch(examples, stage, text, "cpu")
    assert batch.conditions["keep_text_B"].tolist() == [e.keep_text for e in examples]
    silent = [examples[0].__class__(**{**vars(e), "texts": ClipTexts()}) for e in examples]
    assert not make_batch(silent, stage, text, "cpu").conditions["keep_text_B"].any()


def test_a_clip_shorter_than_the_crop_is_refused(crate):
    with pytest.raises(CrateMismatch, match=r"1\.6 s long.*trains on 3\.2 s"):
        loader(crate, short("waveform-generator", crop_s=3.2)).example(0)


def test_damaged_audio_names_its_clip():
    from pipeline.errors import BadInput

    with pytest.raises(BadInput, match="clip c7"):
        make_example(
            short("spectrogram-vocoder"), {16_000: b"fLaC junk"}, "c7", ClipTexts(), clip_s=1.6, seed=0, position=0,
            text_drop=0,
        )  # fmt: skip


def test_one_ahead_keeps_the_order_and_passes_errors_on():
    from diffusion.data.loader import one_ahead

    assert list(one_ahead(range(5), lambda i: i * i)) == [0, 1, 4, 9, 16]
    made = one_ahead([2, 1, 0], lambda i: 2 // i)
    assert [next(made), next(made)] == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(made)


def test_two_crates_are_mixed_by_weight(crate, tmp_path):
    other = make_crate(tmp_path, shards=1, tracks=2, clips=2, clip_s=1.6)
    stage = short("spectrogram-vocoder")
    sources = []
    for path, weight in ((crate, 3.0), (other, 1.0)):
        clips = CrateClips(path, [16_000], text=False)
        sources.append(ClipSource(clips, clips.split(0.0).train, weight))
    mixed = ClipLoader(sources, stage, seed=0, text_drop=0.0)
    places = [mixed.order.locate(i).source for i in range(4096 * mixed.order.lanes)]
    assert places.count(0) == 3072 * mixed.order.lanes
    assert mixed.example(places.index(1)).target.shape == (16_000,)  # 0.8 s and two margins


def test_waiting_is_measured_and_said(tmp_path, capsys):
    import time
    from types import SimpleNamespace

    from diffusion.data.loader import Waited
    from diffusion.training.run_log import RunLog
    from tests.diffusion.small import small_run

    def slow():
        for item in range(3):
            time.sleep(0.05)
            yield item

    waited = Waited(slow())
    assert [next(waited), next(waited)] == [0, 1]
    assert 0.1 <= waited.waited_s() < 1
    assert waited.waited_s() == 0
    logged = []
    accelerator = SimpleNamespace(
        is_main_process=True, trackers=[], log=lambda values, step: logged.append(values), end_training=lambda: None,
        init_trackers=lambda *a, **k: None,
    )  # fmt: skip
    config = small_run("super-resolution", "bundled", log_every=2, loader_threads=3)
    with RunLog(tmp_path, accelerator, 0, config) as log:
        log.step(0, 0.5, 1.0, 1e-3, seconds=1.0, waited_s=0.0)
        log.step(1, 0.5, 1.0, 1e-3, seconds=1.0, waited_s=0.1)
        log.step(2, 0.5, 1.0, 1e-3, seconds=1.0, waited_s=0.9)
        log.step(3, 0.5, 1.0, 1e-3, seconds=1.0, waited_s=0.6)
    first, second = capsys.readouterr().out.splitlines()
    assert "waiting" not in first
    assert "40% waiting for data (--loader-threads 3)" in second
    assert [round(values["waiting_for_data"], 3) for values in logged] == [0.05, 0.4]
