"""Raw answers with known faults: the grammar's clauses crossed into millions of sentences, and what models do to them.

Every sentence carries the name of its fault, or none; the cleaning chain is judged by them (benchmarks.vocab_clean).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from vocab.store import bundled_vocabulary

__all__ = ["FAULTS", "NoiseModel", "song_list"]

FAULTS: dict[str, float] = {
    "too-short": 0.015,
    "too-long": 0.005,
    "heading": 0.01,
    "repetitive": 0.005,
    "url": 0.01,
    "brackets": 0.015,
    "score": 0.01,
    "refusal": 0.015,
    "lyrics": 0.015,
    "first-person": 0.02,
    "chat": 0.015,
    "own-name": 0.025,
    "other-name": 0.015,
    "language": 0.02,
    "not-music": 0.05,
    "duplicate": 0.03,
    "near-duplicate": 0.03,
}
"""Share of all sentences."""

_SPLIT = re.compile(r"(?= with | while |, (?:with|while|as|backed|for|recorded|and) )")
_SYLLABLES = "ba ve lo ri ta mi so ka ne du fa zo le pi gra tre shi mo vu ka ly quo den mar sil tor bel nix".split()
_NAMES = ("Anna", "Peter", "Maria", "John", "Lucia", "David", "Ingrid", "Omar", "Yuki", "Carlos")
_PLACES = ("Leeds", "Porto", "Ohio", "Lyon", "Kyoto", "Graz", "Oslo", "Texas", "Cork", "Bergen", "Quito", "Perth")
_PLAIN = (
    "{name} was born in {place} in {year}.",
    "The album sold {n} thousand copies in {place}.",
    "It reached number {n} on the charts of {year}.",
    "The company opened a new office in {place} in {year}.",
    "{name} won the prize for best actor in {year}.",
    "The train to {place} leaves at {n} minutes past nine.",
    "Add {n} grams of sugar and bake for an hour.",
    "The single was released in {place} in {year}.",
    "{name} moved to {place} with her family in {year}.",
    "The museum in {place} has {n} paintings from {year}.",
    "Shares of the bank fell by {n} percent in {year}.",
    "The video was filmed in {place} by {name} in {year}.",
    "The tour of {year} was cancelled after {n} shows in {place}.",
    "The house near {place} was sold for {n} thousand euros.",
)
_FOREIGN = (
    "Une chanson lente avec {fr} et une voix très douce, enregistrée en {year}.",
    "Ein langsames Stück mit {de} und einer leisen Stimme aus dem Jahr {year}.",
    "Una canción lenta con {es} y una voz muy suave, grabada en {year}.",
    "Un brano lento con {it} e una voce molto dolce registrata nel {year}.",
    "Uma música lenta com {pt} e uma voz suave gravada em {year}.",
    "Een langzaam nummer met {nl} en een zachte stem uit {year}.",
)
_INSTRUMENTS = {
    "fr": ("un piano", "des violons", "une guitare", "une flûte", "des tambours", "un accordéon"),
    "de": ("Klavier", "Geigen", "einer Gitarre", "einer Flöte", "Trommeln", "einem Akkordeon"),
    "es": ("un piano", "unos violines", "una guitarra", "una flauta", "tambores", "un acordeón"),
    "it": ("un pianoforte", "i violini", "una chitarra", "un flauto", "i tamburi", "una fisarmonica"),
    "pt": ("um piano", "violinos", "uma guitarra", "uma flauta", "tambores", "um acordeão"),
    "nl": ("een piano", "violen", "een gitaar", "een fluit", "trommels", "een accordeon"),
}
_REFUSALS = (
    "As an AI language model, I cannot listen to {song}.",
    "I'm sorry, but I don't have any information about {song}.",
    "Unfortunately, I am not able to describe {song} without hearing it.",
    "I apologize, but I am not familiar with {song}.",
    "My training data does not include {song}.",
)
_CHATS = (
    "Sure, here is a description of the music number {n}.",
    "Let me know if you would like more about part {n}.",
    "Of course, this is description number {n} for you.",
    "Feel free to ask for description number {n}.",
    "Would you like to hear about track number {n}?",
    "Here are {n} facts about the melody.",
)
_LYRICS = (
    "La la la la, we sing number {n} until the morning.",
    'She sings "{words} until the end of the night {n} times" over a beat.',
    "Oh oh oh oh, {words} tonight number {n}.",
    "Verse {n}: {words} and the drums come in.",
)
_FIRST = ("I think that {clean}", "To me it sounds like {clean}", "In my opinion {clean}", "I love how {clean}")
_URLS = ("{Clean}, heard at www.{word}{n}.com.", "{Clean}, more by @{word}{n} every week.")


def song_list(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Invented titles and artists, none of them an English word."""
    rng = Random(f"songs:{seed}")

    def word() -> str:
        return "".join(rng.choice(_SYLLABLES) for _ in range(rng.choice((2, 3, 3)))).capitalize()

    return [(f"{word()} {word()}", f"{word()} {word()}") for _ in range(count)]


class NoiseModel:
    """Sentences of (seed, number): the text as a model would write it, its fault, and the text that should be left."""

    def __init__(self, songs: list[tuple[str, str]], *, seed: int = 0) -> None:
        heads: dict[str, None] = {}
        tails: dict[str, None] = {}
        for text in bundled_vocabulary("long").texts.to_pylist():
            head, *rest = _SPLIT.split(text.rstrip("."))
            if len(head.split()) >= 4:
                heads[head] = None
            for tail in rest:
                if len(tail.split()) >= 4:
                    tails[tail.removeprefix(",").strip()] = None
        self._heads, self._tails = sorted(heads), sorted(tails)
        rng = Random(f"noise:{seed}")
        rng.shuffle(self._heads)
        rng.shuffle(self._tails)
        self._songs, self._seed = songs, seed
        self._edges: list[tuple[float, str]] = []
        total = 0.0
        for fault, share in FAULTS.items():
            total += share
            self._edges.append((total, fault))

    def clean(self, number: int) -> str:
        """Caption `number`: another head and another tail than any other below heads x tails."""
        heads, tails = len(self._heads), len(self._tails)
        head = self._heads[number % heads]
        tail = self._tails[(number // heads * 7919 + number * 31) % tails]
        return f"{head}, {tail}."

    def sentence(self, number: int) -> tuple[str, str, str]:
        """(as written, fault or nothing, as it should be kept or nothing)."""
        rng = Random(f"{self._seed}:{number}")
        drawn = rng.random()
        fault = next((name for edge, name in self._edges if drawn < edge), "")
        clean = self.clean(number)
        if not fault:
            return clean, "", clean
        if fault == "duplicate":
            original = self.clean(rng.randrange(max(number, 1)))
            return rng.choice((original, original.upper(), original.replace(" ", "  ", 1))), fault, original
        if fault == "near-duplicate":
            original = self.clean(rng.randrange(max(number, 1)))
            return _slightly_changed(original, rng), fault, original
        return self._faulty(fault, number, clean, rng), fault, ""

    def _faulty(self, fault: str, number: int, clean: str, rng: Random) -> str:
        title, artist = self._songs[number // 5 % len(self._songs)]
        other = self._songs[rng.randrange(len(self._songs))]
        word = clean.split()[1]
        values = {
            "name": rng.choice(_NAMES),
            "place": rng.choice(_PLACES),
            "year": rng.randrange(1900, 2024),
            "n": rng.randrange(2, 100),
            "word": "".join(rng.choice(_SYLLABLES) for _ in range(3)),
            "words": "hold the silver river where nobody can find us",
            "song": f'"{title}"',
            "clean": clean[0].lower() + clean[1:],
            "Clean": clean[:-1],
        } | {language: rng.choice(many) for language, many in _INSTRUMENTS.items()}
        if fault in _TEMPLATES:
            return rng.choice(_TEMPLATES[fault]).format(**values)
        if fault == "own-name":
            return rng.choice(
                (f"{title} has the sound of {clean}", f"{artist} plays here: {clean}", f"{clean[:-1]}, as in {title}.")
            )
        if fault == "other-name":
            return rng.choice((f"{clean[:-1]}, like {other[0]}.", f"{clean[:-1]} in the manner of {other[1]}."))
        if fault == "too-short":
            return rng.choice(("Slow piano.", "Nice.", f"{word.capitalize()} music."))
        if fault == "too-long":
            return ", ".join(self.clean(number + step)[:-1] for step in range(1, 7)) + "."
        if fault == "heading":
            return f"Main elements of part {rng.randrange(1000)}:"
        if fault == "repetitive":
            return f"{word.capitalize()} and {word} and {word} and {word} and {word} and {word}."
        if fault == "brackets":
            return rng.choice(
                (clean.replace(",", " (live),", 1), f"{clean[:-1]} [{rng.randrange(100)}].", clean[:-1] + " {x}.")
            )
        return f"{clean[:-1]}, {rng.choice(('8/10', '4.5 stars', 'nine out of ten', '95/100'))}."

    def answers(self, sentences: int, per_answer: int = 5) -> Iterator[tuple[int, str, list[int]]]:
        """(song number, answer, the numbers of its sentences); some answers are lists or begin with the prompt."""
        for start in range(0, sentences, per_answer):
            numbers = list(range(start, min(start + per_answer, sentences)))
            texts = [self.sentence(number)[0] for number in numbers]
            song = start // 5 % len(self._songs)
            title, artist = self._songs[song]
            shape = Random(f"shape:{self._seed}:{start}").random()
            if shape < 0.1:
                answer = "\n".join(f"{at}. {text}" for at, text in enumerate(texts, start=1))
            elif shape < 0.2:
                answer = "\n".join(f"- {text}" for text in texts)
            else:
                # A heading and a foreign name need a line of their own, as models give them.
                answer = "\n".join(texts) if any(text.endswith(":") for text in texts) else " ".join(texts)
            if shape > 0.9:
                answer = f'"{title}" by {artist}: {answer}'
            yield song, answer, numbers


def _slightly_changed(text: str, rng: Random) -> str:
    words = text.split()
    at = rng.randrange(1, len(words))
    how = rng.randrange(4)
    if how == 0:
        return text[:-1] + "!"
    if how == 1:
        return f"{text[:-1]} too."
    if how == 2:
        words[at] = words[at][:-1] + words[at][-1] * 2 if words[at][-1].isalpha() else words[at]
        return " ".join(words)
    return " ".join([*words[:at], "very", *words[at:]])


_TEMPLATES: dict[str, tuple[str, ...]] = {
    "not-music": _PLAIN,
    "language": _FOREIGN,
    "refusal": _REFUSALS,
    "chat": _CHATS,
    "lyrics": _LYRICS,
    "first-person": _FIRST,
    "url": _URLS,
}
