"""Why a sentence is left out of a vocabulary."""

from __future__ import annotations

__all__ = ["REASONS", "describe_reasons"]

REASONS: dict[str, str] = {
    "too-short": "fewer words than allowed",
    "too-long": "more words than allowed",
    "heading": "ends in a colon: it announces something",
    "repetitive": "the same words over and over",
    "url": "a web or mail address, a handle or a hashtag",
    "brackets": "brackets or marks of a program or a table",
    "score": "a rating",
    "refusal": "a model's refusal or talk about itself",
    "lyrics": "words of a song, or a long quotation",
    "chat": "talk to the reader",
    "first-person": "somebody speaks of themself",
    "own-name": "names the title or the artist of its own song",
    "other-name": "names the title or the artist of another song of the list",
    "language": "not English",
    "unfinished": "breaks off before it is complete",
    "career": "charts, releases, awards, where somebody was born: not the sound",
    "story": "what the words are about, or a scene: not the sound",
    "cannot-play": "a singer that is an instrument, an instrument played on another",
    "person": "what a singer is or looks like: not the sound",
    "hollow": "no word for how anything sounds",
    "unknown-name": "a name that is no style's, people's or place's",
    "goes-round": "a short sentence that says a word again",
    "contradiction": "slow and fast, happy and sad at once",
    "not-music": "does not describe music",
}


def describe_reasons() -> str:
    """One line for each reason."""
    return "\n".join(f"  {reason:13} {meaning}" for reason, meaning in REASONS.items())
