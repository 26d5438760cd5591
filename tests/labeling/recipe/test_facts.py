"""Judging what a caption states."""

from __future__ import annotations

import pytest

from labeling.recipe.judging.facts import judge_caption, judge_facts

CLIP = ("style:jazz", "lead:saxophone", "instrument:piano", "drums:yes", "tempo:fast", "mood:happy", "voice:no")


@pytest.mark.parametrize(
    ("fact", "verdict"),
    [
        ("style:jazz", "true"),
        ("style:metal", "false"),
        ("instrument:saxophone", "true"),  # implied by the lead
        ("family:woodwind", "true"),
        ("instrument:violin", "false"),  # not there
        ("drums:no", "false"),
        ("tempo:slow", "false"),
        ("energy:calm", "undecided"),  # the clip is neither calm nor energetic
        ("mood:sad", "false"),
        ("texture:arpeggio", "undecided"),
        ("recording:noisy", "undecided"),
        ("sound:birds", "false"),
    ],
)
def test_single_facts(fact: str, verdict: str) -> None:
    judged = judge_facts([fact], CLIP)
    assert getattr(judged, verdict) == (fact,)
    assert judged.decided == (verdict != "undecided")


def test_a_caption() -> None:
    judged = judge_caption("A fast jazz piece with violin and drums, calm", CLIP)
    assert judged.true == ("tempo:fast", "style:jazz", "drums:yes")
    assert judged.false == ("instrument:violin",)
    assert judged.undecided == ("energy:calm",)
    assert judged.precision == 0.75


def test_nothing_stated_has_no_precision() -> None:
    assert judge_caption("la la la", CLIP).precision is None


def test_of_noise_every_musical_statement_is_false() -> None:
    judged = judge_facts(["style:jazz", "tempo:slow", "mood:sad", "energy:calm"], ["sound:noise", "sound:non-music"])
    assert judged.false == ("style:jazz", "tempo:slow", "mood:sad")
    assert judged.undecided == ("energy:calm",)
