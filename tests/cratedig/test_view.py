"""What people see while a job runs, on a terminal and in a log."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from cratedig.view import JobView, duration
from pipeline.crate.shards import part_name, write_marker
from pipeline.progress import Heartbeat
from pipeline.records import ShardReport
from pipeline.storage import Storage
from tests.beam_jobs.counting_job import CountingJob


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def finish(job: CountingJob, shard: int) -> None:
    name = part_name("numbers", shard, job.shard_count)
    with job.storage().write(name) as file:
        file.write(b"x")
    report = ShardReport(shard=shard, rows=5, seconds=1.0, counts={"clips": 5, "track:corrupt": 1})
    write_marker(job.storage(), "numbers", shard, job.shard_count, report, run_hash="h", files={name: file})


def test_a_log_gets_plain_lines_and_the_last_one_says_it_all(tmp_path: Path) -> None:
    job, out = CountingJob(root=str(tmp_path), shard_count=3), io.StringIO()
    finish(job, 0)
    with JobView(out) as view:
        tick = view.watch(job)
        finish(job, 1)
        finish(job, 2)
        tick(True)
        view.say("and then")
    lines = out.getvalue().splitlines()
    assert lines[0] == "numbers: 1 of 3 shards are done already"
    assert lines[1].startswith("numbers: 3 of 3 shards, 10 clips (")
    assert ", 2 rejects, in 0 s" in lines[1]
    assert lines[2:] == ["and then"]


def test_a_terminal_gets_one_line_that_is_rewritten(tmp_path: Path) -> None:
    job, out = CountingJob(root=str(tmp_path), shard_count=2), Terminal()
    with JobView(out) as view:
        tick = view.watch(job)
        finish(job, 0)
        Heartbeat(Storage(tmp_path), "numbers", 1)({"clips": 2})
        tick(False)
    said = out.getvalue()
    assert said.startswith("\r\x1b[2Knumbers: 1 of 2 shards, 7 clips (")
    assert " left" in said
    assert said.endswith(" left\n")


def test_before_the_first_clip_it_says_how_far_the_track_is(tmp_path: Path) -> None:
    job, out = CountingJob(root=str(tmp_path), shard_count=2), Terminal()
    with JobView(out) as view:
        tick = view.watch(job)
        tick(False)
        Heartbeat(Storage(tmp_path), "numbers", 0)({"clips": 0})
        view._next = 0
        tick(False)
        Heartbeat(Storage(tmp_path), "numbers", 1)({"clips": 0, "seconds_decoded": 4000})
        view._next = 0
        tick(False)
    lines = out.getvalue().rstrip("\n").split("\r\x1b[2K")[1:]
    assert lines == [
        "numbers: 0 of 2 shards, workers start since 0 s",
        "numbers: 0 of 2 shards, at the first tracks since 0 s",
        "numbers: 0 of 2 shards, 1 h 6 min of audio decoded of the tracks in work",
    ]


def test_before_the_first_answer_a_generation_speaks_of_songs(tmp_path: Path) -> None:
    job, out = CountingJob(root=str(tmp_path), shard_count=2), Terminal()
    with JobView(out) as view:
        tick = view.watch(job)
        Heartbeat(Storage(tmp_path), "numbers", 0)({"songs": 0})
        tick(False)
    assert out.getvalue().rstrip("\n").endswith("numbers: 0 of 2 shards, at the first songs since 0 s")


@pytest.mark.parametrize(("seconds", "text"), [(4.4, "4 s"), (200, "3 min 20 s"), (18_600, "5 h 10 min")])
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text
