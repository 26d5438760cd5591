"""The queue: like requests together, limits, cancel, and failures that stay with their request."""

import threading
import time

import pytest
import soundfile
from pydantic import ValidationError

from diffusion.generation.cascade import Cascade, load_cascade
from diffusion.model.config import STAGES
from diffusion.serving.studio import Full, Request, Studio
from pipeline.errors import BadInput

pytestmark = pytest.mark.slow


class _Watched(Cascade):
    """A cascade that says what it was given, and begins when it is let."""

    def generate(self, prompts, seeds, **how):
        self.seen.append((list(prompts), list(seeds)))
        self.let.wait(60)
        if "fault" in prompts:
            raise RuntimeError("a kernel failed")
        return super().generate(prompts, seeds, **how)


@pytest.fixture(scope="module")
def cascades(run):
    folders = {stage: run / stage for stage in STAGES}
    return {name: load_cascade(name, folders) for name in ("waveform", "spectrogram")}


@pytest.fixture
def studio(cascades, tmp_path):
    watched = {name: _Watched(**vars(cascade)) for name, cascade in cascades.items()}
    let, seen = threading.Event(), []
    for cascade in watched.values():
        object.__setattr__(cascade, "seen", seen)
        object.__setattr__(cascade, "let", let)
    studio = Studio(watched, tmp_path, picture=lambda a, r: b"png", batch=8, max_seconds=2, max_waiting=4, keep=5)
    studio.seen, studio.let = seen, let
    yield studio
    let.set()
    studio.close()


def ask(**changes):
    return Request(**{"prompt": "slow piano", "seconds": 0.32, "steps": 2, **changes})


def until_ended(*tickets):
    end = time.monotonic() + 120
    while not all(ticket.ended for ticket in tickets):
        assert time.monotonic() < end
        time.sleep(0.02)


def begun(studio, ticket):
    while ticket.state == "waiting":
        time.sleep(0.01)


def test_like_requests_are_sampled_together_and_others_wait(studio):
    first = studio.submit(ask(seed=1))
    begun(studio, first)
    a, other, b = studio.submit(ask(seed=10)), studio.submit(ask(steps=3)), studio.submit(ask(prompt="drums", clips=2))
    assert [studio.place(ticket) for ticket in (a, other, b)] == [0, 1, 2]
    studio.let.set()
    until_ended(first, a, other, b)
    assert [len(prompts) for prompts, _ in studio.seen] == [4, 6, 4]
    assert studio.seen[1] == (["slow piano"] * 4 + ["drums"] * 2, [10, 11, 12, 13, 0, 1])
    assert {ticket.state for ticket in (first, a, other, b)} == {"done"}
    assert (a.done, a.total) == (a.total, 6 * 6)
    for clip in a.clips:
        assert list(clip.wav) == ["waveform-generator", "waveform-cascader", "super-resolution"]
        assert [soundfile.info(path).samplerate for path in clip.wav.values()] == [3_200, 16_000, 24_000]


def test_a_mel_is_heard_too(studio):
    studio.let.set()
    ticket = studio.submit(ask(cascade="spectrogram", clips=1))
    until_ended(ticket)
    assert {name: soundfile.info(path).duration for name, path in ticket.clips[0].wav.items()} == {
        "spectrogram-generator": 0.32, "spectrogram-vocoder": 0.32, "super-resolution": 0.32,
    }  # fmt: skip


def test_no_more_wait_than_may(studio):
    first = studio.submit(ask())
    begun(studio, first)
    for _ in range(4):
        studio.submit(ask())
    with pytest.raises(Full, match="4 requests wait"):
        studio.submit(ask())


def test_cancelled_ones_are_not_made(studio):
    first, second = studio.submit(ask()), None
    begun(studio, first)
    second, third = studio.submit(ask(prompt="drums")), studio.submit(ask(prompt="bass"))
    studio.cancel(second)
    studio.cancel(first)
    studio.let.set()
    until_ended(first, second, third)
    assert (first.state, second.state, third.state) == ("cancelled", "cancelled", "done")
    assert first.done == 0
    assert [prompts[0] for prompts, _ in studio.seen] == ["slow piano", "bass"]
    assert not (studio.folder / first.id).exists()


def test_a_fault_ends_its_own_requests_alone(studio, capsys):
    studio.let.set()
    bad, good = studio.submit(ask(prompt="fault")), studio.submit(ask(steps=3))
    until_ended(bad, good)
    assert (bad.state, good.state) == ("failed", "done")
    assert "fault of the server" in bad.error
    assert "a kernel failed" in capsys.readouterr().err


def test_only_the_latest_are_kept(studio):
    studio.let.set()
    tickets = []
    for seed in range(7):
        tickets.append(studio.submit(ask(seed=seed, clips=1)))
        until_ended(tickets[-1])
    end = time.monotonic() + 20
    while any(studio.ticket(ticket.id) is not None for ticket in tickets[:2]) and time.monotonic() < end:
        time.sleep(0.02)  # forgotten after the end of a later one, by the studio's own thread
    assert [studio.ticket(ticket.id) is not None for ticket in tickets[:2] + tickets[-1:]] == [False, False, True]
    assert not tickets[0].clips[0].wav["super-resolution"].exists()
    assert tickets[-1].clips[0].wav["super-resolution"].exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "  "}, "empty prompt"),
        ({"prompt": "piano " * 100}, "prompt has 102 tokens, the model reads 64; shorten"),
        ({"negative": "piano " * 100, "guidance": 3}, "negative has 102 tokens"),
        ({"negative": "drums", "guidance": 1}, "does nothing"),
        ({"seconds": 2.5}, "at most 2 s"),
    ],
)
def test_what_cannot_be_made_is_refused(studio, changes, message):
    with pytest.raises(BadInput, match=message):
        studio.submit(ask(**changes))


def test_a_cascade_that_is_not_served_is_refused(cascades, tmp_path):
    studio = Studio({"waveform": cascades["waveform"]}, tmp_path, picture=lambda a, r: b"", batch=4)
    with pytest.raises(BadInput, match="no spectrogram cascade is served here; there is: waveform"):
        studio.submit(ask(cascade="spectrogram"))
    studio.close()


@pytest.mark.parametrize("changes", [{"clips": 5}, {"seed": -1}, {"steps": 0}, {"seconds": float("nan")}, {"x": 1}])
def test_what_makes_no_sense_is_no_request(changes):
    with pytest.raises(ValidationError):
        ask(**changes)
