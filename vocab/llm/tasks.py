"""What a model can be asked for, and the server that is started for it: words of the command line."""

from __future__ import annotations

__all__ = ["SERVE_COMMAND", "TASKS"]

TASKS = {
    "song": "how songs of a title and an artist sound (PAPER 3.5)",
    "tags": "music with the tags of the column `tags`, as LP-MusicCaps asks; there are no names that could leak",
    "rewrite": "the text of the column `caption`, but only what it says about the sound",
    "summary": "the text of the column `caption` in one short sentence",
    "paraphrase": "the text of the column `caption` in other words",
}
"""Each has a template of its own."""

SERVE_COMMAND = "vllm serve {model} --port {port}"
