"""From a model's answer to sentences: no echo of the prompt, no list marks, cut where sentences end.

Written for captions, in place of a library: of those tried on PyPI, the well-kept ones need a model per language or cut
after `feat.`; this one knows the abbreviations that stand in texts about music.
"""

from __future__ import annotations

import json
import re
import unicodedata

__all__ = ["answer_sentences", "split_sentences", "strip_markers", "without_echo"]

_NEVER_END = frozenset(
    """feat ft vs dr mr mrs ms st jr sr prof vol op no nos nr pt approx ca cf etc e.g i.e ed eds rec arr orig min sec hr
    bpm inc ltd co corp dept est u.s u.k d.c l.a n.y a.k.a aka mt ave blvd fig""".split()
)
"""Lower case, without the last dot. After these a sentence ends only where the next word clearly begins one."""
_MAY_END = frozenset({"etc", "u.s", "u.k", "jr", "sr", "inc", "ltd", "co", "l.a", "bpm", "min", "sec"})
_END = re.compile(r"([.!?…]+)([\"'”’)\]]*)(\s+)(?=[\"'“‘(\[]?([A-Z0-9“\"'‘(\[]|[^\W\d_a-z]))")
_BREAK = re.compile(r"\s*\n\s*")
_MARKER = re.compile(
    r"""^(?:\s|[-*•·–—>#▪◦‣]+\s|\#+\s*|\(?(?:\d{1,3}|[a-hA-H]|[ivx]{1,4})[.)]\s+|\[\d{1,3}\]\s*|\*\*|__|`+|["“”']\s*(?=$)
    |(?:description|answer|song\s+description|caption|response|output|sentence\s*\d*|note|genre|mood)\s*:\s+)+""",
    re.VERBOSE | re.IGNORECASE,
)
_MARKUP = re.compile(r"\*\*|__|`+|<br\s*/?>|\*(?=\S)|(?<=\S)\*")
_THOUGHT = re.compile(r"^.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_THINKING = re.compile(r"<think(?:ing)?>.*$", re.DOTALL | re.IGNORECASE)
_END_MARK = re.compile(
    r"<(?:eos|bos|pad|unk|end_of_turn|start_of_turn|/?s)>|<\|(?:im_end|im_start|endoftext|eot_id|end|assistant)\|>|\[/?INST\]"
)
"""Where a model's last token was written out."""
_LISTED = re.compile(r"""\s*(?:```(?:json)?\s*)?(?:\{\s*"captions"\s*:\s*)?\[(?=\s*["\]])""")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_NEXT_SONG = re.compile(r"""(?:^|\n|\s)[-*•]?\s*["“][^"”\n]{1,120}["”]\s+by\s+[^:\n]{1,120}:""")


def answer_sentences(answer: str, *, title: str = "", artist: str = "", cut_short: bool = False) -> list[str]:
    """Sentences of an answer about one song. `cut_short`: the model ran out of tokens before the last one ended."""
    text = _END_MARK.sub("", without_thinking(unicodedata.normalize("NFC", answer)))
    listed = _listed(text)
    lines = _BREAK.split(without_echo(text, title=title, artist=artist)) if listed is None else listed
    sentences: list[str] = []
    for line in lines:
        sentences += split_sentences(strip_markers(line))
    if listed is None and cut_short and sentences and not re.search(r"[.!?…][\"'”’)\]]*$", sentences[-1]):
        sentences.pop()
    return [sentence for sentence in (strip_markers(s) for s in sentences) if sentence]


def without_thinking(answer: str) -> str:
    """The answer without what a model thought before it: all up to the last `</think>`, or from a `<think>` on."""
    text = _THOUGHT.sub("", answer)
    return _THINKING.sub("", text)


def _listed(text: str) -> list[str] | None:
    """The sentences of a structured answer, {"captions": [...]}, also of one that breaks off; None where it is none."""
    start = _LISTED.match(text)
    if not start:
        return None
    found = [json.loads(part) for part in _STRING.findall(text[start.end() :])]
    return [sentence for sentence in found if isinstance(sentence, str)]


def without_echo(answer: str, *, title: str = "", artist: str = "") -> str:
    """The answer without a repetition of the prompt before it and without the next song that a model goes on with."""
    text = answer.lstrip("-*• \t\n")
    if title and " by " in text:
        start = text[: len(title) + len(artist) + 16].lower()
        for before, after in (('"', '"'), ("“", "”"), ("", ""), ("'", "'")):
            echo = f"{before}{title}{after} by {artist}:".lower()
            if start.startswith(echo):
                text = text[len(echo) :]
                break
    if " by " in text:
        following = _NEXT_SONG.search(text)
        if following:
            text = text[: following.start()]
    return text


def strip_markers(line: str) -> str:
    """A line without bullets, numbers, bold marks, labels such as `Description:` and quotes around all of it."""
    text = _MARKER.sub("", _MARKUP.sub("", line)).strip()
    if len(text) > 1 and (text[0], text[-1]) in (('"', '"'), ("“", "”"), ("'", "'")):
        inner = text[1:-1]
        if text[0] not in inner and text[-1] not in inner:
            text = inner.strip()
    return " ".join(text.split())


def split_sentences(text: str) -> list[str]:
    """Cut after `.`, `!`, `?` or `…` where a new sentence begins; not in `feat. X`, `No. 5`, `80's`, `J. S. Bach`."""
    pieces: list[str] = []
    start = 0
    for found in _END.finditer(text):
        if _is_end(text, found):
            pieces.append(text[start : found.end(2)].strip())
            start = found.end()
    pieces.append(text[start:].strip())
    return [piece for piece in pieces if piece]


def _is_end(text: str, found: re.Match[str]) -> bool:
    if found.group(1) != ".":
        return True
    before = text[: found.start()]
    word = before.rsplit(None, 1)[-1].lstrip("(\"'“‘[") if before.strip() else ""
    bare = word.lower()
    if re.fullmatch(r"[A-Z]", word):
        return word == "I" or bool(
            re.search(r"\b(?:in|minor|major|note|key of|chord)\s+(?:the key of\s+)?[A-G]$", before)
        )
    following = found.group(4)
    if bare in _NEVER_END:
        return bare in _MAY_END and following.isupper() and not following.isdigit()
    if bare in ("no", "nr", "op", "vol") and following.isdigit():
        return False
    return not re.fullmatch(r"(?:[a-z]\.)+[a-z]", bare) or following.isupper()
