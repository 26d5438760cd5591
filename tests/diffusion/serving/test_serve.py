"""The real server, over its API and in a real browser."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import soundfile

from tests.browser import Browser, browser_missing

pytestmark = pytest.mark.slow
pytest.importorskip("gradio", reason="the page needs gradio: pip install -e '.[serve]'")

ROOT = Path(__file__).parents[3]


def start(run, *options):
    command = [sys.executable, "-m", "cratedig", "serve", "--from", str(run), "--cpu", "--port", "0", *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes)


class Server:
    def __init__(self, run, *options):
        self.process = start(run, *options)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                self.url = found[0]
                break
        else:
            raise AssertionError("".join(self.lines))
        threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True).start()
        self.http = httpx.Client(base_url=self.url, timeout=120, trust_env=False)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.http.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def ask(self, **changes):
        wish = {"prompt": "slow piano", "seconds": 0.32, "steps": 2, **changes}
        return self.http.post("/api/requests", json=wish)

    def ended(self, key, limit_s=240):
        end = time.monotonic() + limit_s
        while (told := self.http.get(f"/api/requests/{key}").json())["state"] in ("waiting", "running"):
            assert time.monotonic() < end, told
            time.sleep(0.1)
        return told


@pytest.fixture(scope="module")
def server(run):
    with Server(run, "--max-waiting", "64", "--max-seconds", "10") as server:
        yield server


def test_fifty_at_once(server):
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda i: server.ask(seed=10 * (i // 2), clips=1 + i % 2), range(50)))
        assert {answer.status_code for answer in answers} == {202}
        told = list(pool.map(lambda answer: server.ended(answer.json()["id"]), answers))
    assert {each["state"] for each in told} == {"done"}
    assert {each["progress"] for each in told} == {1.0}
    wavs = [server.http.get(each["clips"][0]["stages"]["super-resolution"]["wav"]).content for each in told]
    assert [len(each["clips"]) for each in told] == [1, 2] * 25
    assert len(set(wavs)) >= 25  # a seed is a sound
    for i in range(0, 50, 2):
        assert abs(len(wavs[i]) - len(wavs[i + 1])) < 64


def test_more_than_may_wait_are_told_so(run):
    with Server(run, "--max-waiting", "3") as server:
        answers = [server.ask(seconds=5, steps=300 + i) for i in range(12)]
        codes = [answer.status_code for answer in answers]
        assert codes.count(202) in (3, 4)
        assert codes.count(503) == 12 - codes.count(202)
        assert "3 requests wait already" in answers[-1].json()["error"]
        began = time.monotonic()
    assert time.monotonic() - began < 30  # Ctrl-C does not wait for what is being sampled
    assert server.process.returncode in (0, 130)


def test_cancel_frees_the_server(server):
    long = server.ask(seconds=10, steps=2000).json()["id"]
    short = server.ask().json()["id"]
    while server.http.get(f"/api/requests/{long}").json()["progress"] == 0:
        time.sleep(0.05)
    assert server.http.delete(f"/api/requests/{long}").json()["state"] == "cancelled"
    assert server.ended(short, 60)["state"] == "done"


def test_a_picture_and_a_sound_of_each_stage(server, tmp_path):
    told = server.ended(server.ask(cascade="spectrogram", clips=2).json()["id"])
    for clip in told["clips"]:
        assert list(clip["stages"]) == ["spectrogram-generator", "spectrogram-vocoder", "super-resolution"]
        for files in clip["stages"].values():
            assert server.http.get(files["png"]).content.startswith(b"\x89PNG")
            (tmp_path / "x.wav").write_bytes(server.http.get(files["wav"]).content)
            assert soundfile.info(tmp_path / "x.wav").duration == pytest.approx(0.32)
    limits = server.http.get("/api").json()
    assert (limits["max_seconds"], limits["max_waiting"], set(limits["cascades"])) == (
        10,
        64,
        {"waveform", "spectrogram"},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": "piano " * 100}, "prompt has 102 tokens"),
        ({"prompt": "x" * 3000}, "at most 2000 characters"),
        ({"seconds": 60}, "at most 10 s"),
        ({"clips": 9}, "less than or equal to 4"),
        ({"tempo": 3}, "Extra inputs are not permitted"),
        ({"prompt": None}, "valid string"),
    ],
)
def test_a_bad_request_is_one_line(server, changes, message):
    answer = server.ask(**changes)
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert len(answer.json()["error"]) < 200


def test_what_is_not_there_is_said(server):
    assert server.http.get("/api/requests/nothing").status_code == 404
    key = server.ended(server.ask(clips=1).json()["id"])["id"]
    for path in ("1/super-resolution.wav", "0/bass.wav", "-1/super-resolution.wav"):
        answer = server.http.get(f"/api/requests/{key}/clips/{path}")
        assert answer.status_code == 404
        assert "has no wav of clip" in answer.json()["error"]
    assert server.http.get(f"/api/requests/{key}/clips/0/..%2Fx.wav").status_code == 404


def test_a_port_in_use_is_one_line(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(run, "--port", str(taken.getsockname()[1]))
        out = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert re.fullmatch(r"cratedig: cannot listen on 127\.0\.0\.1 port \d+ \(.*\); give another --port.*\n", out), out


def test_a_folder_without_a_cascade_is_one_line(tmp_path):
    process = start(tmp_path)
    out = process.communicate(timeout=60)[0]
    assert process.returncode == 2
    assert "holds no whole cascade (the waveform cascade lacks waveform-generator" in out
    assert out.count("\n") == 1


def fill(browser, fields):
    """Until what was typed stays: while the page is still built, Gradio puts its own values back."""
    for _ in range(20):
        for selector, text in fields.items():
            browser.type(selector, text)
        time.sleep(0.5)
        if [browser.run(f"return document.querySelector('{s}').value") for s in fields] == list(fields.values()):
            return
    raise AssertionError(f"the page does not keep {fields}")


@pytest.mark.skipif(bool(browser_missing()), reason=browser_missing() or "-")
def test_the_page_in_a_browser(server, tmp_path):
    with Browser() as browser:
        browser.screen(1200, 1000)
        browser.open(server.url)
        browser.until("document.querySelector('#prompt textarea') && document.querySelector('#steps input')")
        fill(browser, {"#prompt textarea": "slow solo piano", "#seconds input": "0.64", "#steps input": "2"})
        browser.click("#generate")
        # Gradio draws the wave itself, from what its download button offers.
        sounds = "[...document.querySelectorAll('[id^=clip-] a[download]')].map(a => a.href).join(' ')"
        browser.until(f"({sounds}).split('super-resolution.wav').length == 5", limit_s=120)
        pictures = "[...document.querySelectorAll('[id^=picture-] img')]"
        browser.until(f"{pictures}.filter(i => i.naturalWidth > 0).length == 4")
        fourth = sounds.replace("join(' ')", "at(3)")
        size = browser.run(f"return fetch({fourth}).then(r => r.arrayBuffer()).then(b => b.byteLength)")
        assert size > 2 * 24_000 * 0.64
        browser.click("#stage input", 0)
        browser.until(f"({sounds}).split('waveform-generator.wav').length == 5")
        (tmp_path / "page.png").write_bytes(browser.picture(whole=True))

        browser.type("#steps input", "2000")
        browser.type("#seconds input", "10")
        browser.click("#generate")
        browser.until(
            "document.querySelector('#status progress') && document.querySelector('#status progress').value > 0"
        )
        browser.click("#cancel")
        browser.until("document.querySelector('#status').innerText.includes('cancelled')")

        browser.type("#prompt textarea", "piano " * 100)
        browser.click("#generate")
        browser.until("document.body.innerText.includes('the model reads 64; shorten it')")
        assert not [line for line in browser.messages() if line.startswith("SEVERE") and "favicon" not in line]
    assert server.ended(server.ask().json()["id"], 60)["state"] == "done"  # nothing is left at work
