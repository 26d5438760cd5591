"""Filters of single sentences, on what models really write: each fault has its reason, each caption passes."""

from __future__ import annotations

import csv

import pytest

from tests.vocab.test_musiccaps import real_musiccaps
from vocab.cleaning.filters import SentenceFilters
from vocab.cleaning.names import NameIndex, name_forms
from vocab.cleaning.relevance import THRESHOLD, Relevance, cross_validate, labelled_sentences
from vocab.musiccaps import split_rater_sentences

SONGS = [
    ("Blue Harbour Lights", "Mira Kessel"),
    ("Hello", "Odalys"),
    ("Slow Down (Remastered 2009)", "The Band"),
    ("No. 5", "Tom & Vera"),
]
FILTERS = SentenceFilters(names=NameIndex(SONGS))


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("Slow piano.", "too-short"),
        ("The piano " + "plays and plays and sings and then it " * 10 + "stops.", "too-long"),
        ("The song has the following elements:", "heading"),
        ("The drums the drums the drums the drums the drums.", "repetitive"),
        ("Listen to the slow piano at www.example.com today.", "url"),
        ("A slow piano by @pianoman99 with drums.", "url"),
        ("A slow piano piece [with drums] in a hall.", "brackets"),
        ("A slow piano piece (with drums in a hall.", "brackets"),
        ("A slow [intro] with piano.", "brackets"),
        ("A great guitar track, 8/10 for the drums.", "score"),
        ("The piano solo earns four stars.", "score"),
        ("As an AI language model, I cannot listen to the song.", "refusal"),
        ("I'm sorry, but I don't have information about this song.", "refusal"),
        ("Unfortunately I cannot access the audio of this track.", "refusal"),
        ("La la la la, sing the melody with me.", "lyrics"),
        ('The chorus repeats "and I will always hold you in my arms" over the piano.', "lyrics"),
        ("Verse 1: the drums come in.", "lyrics"),
        ("I think the piano is lovely and slow.", "first-person"),
        ("The guitar riff is my favourite part.", "first-person"),
        ("Sure, here is a description of the song.", "chat"),
        ("Let me know if the piano is too slow.", "chat"),
        ("Would you like another slow piano song?", "chat"),
        ("A duet of piano and strings like Mira Kessel would sing.", "other-name"),
        ("The melody recalls Blue Harbour Lights with its slow piano.", "other-name"),
        ("A slow groove in the vein of Odalys with drums.", "other-name"),
        ("Une chanson lente avec un piano et des violons tristes.", "language"),
        ("Ein langsames Lied mit Klavier und traurigen Geigen.", "language"),
        ("The album sold two million copies in its first year.", "career"),
        ("He was born in a small town near the coast.", "career"),
        ("The ticket office opens at noon on weekdays.", "not-music"),
        ("The solo over the slow groove is by Prince.", "unknown-name"),
        ("A slow blues recorded in Montgrave with a piano.", "unknown-name"),
        ("A piano tune with a slow beat and a", "unfinished"),
        ("The lyrics tell the story of a lost soldier.", "story"),
        ("The song is about a train and a girl.", "story"),
        ("The male singer is a bass guitar.", "cannot-play"),
        ("The trumpet is played by a guitar.", "cannot-play"),
        ("The female singer is a friend of the drummer.", "person"),
        ("It is a great piece of music.", "hollow"),
        ("The song is a jazz song with jazzy jazz.", "goes-round"),
        ("It is a slow song with a fast tempo.", "contradiction"),
        ("It is slow at first, then fast.", ""),
        ("Calm verses give way to an aggressive chorus of guitars.", ""),
        ("The banjo is fast, and the old fiddle is slow.", ""),
        ("The female singer is soft and the male singer is loud.", ""),
        ("She sings a sad synth pop melody.", ""),
        ("A slow folk song, lazy as a river in August.", ""),
        ("A country song with a long guitar and a tall drum.", "not-music"),
        ("The singer has a soft trumpet and a loud drum.", "cannot-play"),
        ("The male vocalist has a warm voice and a small organ.", "cannot-play"),
        ("The singer has a warm voice, and the trumpet is plucked.", "cannot-play"),
        ("The tempo sings a soft chord.", "cannot-play"),
        ("The singer has a warm voice with a guitar accompaniment.", ""),
        ("Slow piano (played with felt) and soft strings.", ""),
        ("The piano repeats a I-V-vi-IV chord progression.", ""),
        ("A bossa nova with violão and cavaquinho.", ""),
        ("Great drums and a deep bass.", ""),
        ("Let's dance to this upbeat disco tune.", ""),
        ("A Konkani folk song with a slow drum.", ""),
        ("A Hammond organ and a Latin rhythm.", ""),
        ("A slow piano piece with hello written all over it.", ""),
        ("The drums slow down before the last chorus.", ""),
        ("The band plays a slow groove with a muted trumpet.", ""),
        ("A 6/8 groove with hi-hats and a 3/4 bridge on piano.", ""),
        ("An 80's R&B ballad with a slow beat.", ""),
        ("Hi-hats tick over a slow bass line.", ""),
        ("A slow, jangly guitar tune!", ""),
    ],
)
def test_each_fault_has_its_reason(sentence: str, reason: str) -> None:
    assert FILTERS.reason(sentence) == reason


@pytest.mark.parametrize(
    ("title", "artist", "sentence", "found"),
    [
        ("Blue Harbour Lights", "Mira Kessel", "blue harbour lights is a slow ballad.", True),
        ("Blue Harbour Lights", "Mira Kessel", "Kessel sings softly.", False),
        ("Slow Down (Remastered 2009)", "The Band", "In Slow Down the drums are loud.", True),
        ("Slow Down (Remastered 2009)", "The Band", "The beat will slow down near the end.", False),
        ("Slow Down", "The Band", "The band plays tightly.", False),
        ("Slow Down", "The Band", "A tight groove by The Band with horns.", True),
        ("Hello", "Odalys", "Odalys' voice soars above the piano.", True),
        ("Sirocco", "Ana feat. Bo Lind", "A guest verse from Bo Lind over drums.", True),
    ],
)
def test_the_own_song_is_not_named(title: str, artist: str, sentence: str, found: bool) -> None:
    assert (FILTERS.reason(sentence, name_forms(title, artist)) == "own-name") is found


def test_names_without_a_word_have_no_forms() -> None:
    assert name_forms("???", "!!!") == ()
    assert name_forms("The Sea", "X") == (("sea",),)
    assert name_forms("No. 5", "Tom & Vera") == (("no", "5"), ("tom", "vera"), ("tom",), ("vera",))


def test_the_classifier_on_what_it_has_not_seen() -> None:
    """A third of the negative labels differ from good sentences by a word; .69 and .96 were measured."""
    precision, recall = cross_validate(folds=4)
    assert precision >= 0.67
    assert recall >= 0.94


def test_the_weights_are_those_of_the_labels() -> None:
    sentences, labels = labelled_sentences()
    right = [(Relevance.load().probability(s) >= 0.5) == bool(y) for s, y in zip(sentences, labels, strict=True)]
    assert sum(right) / len(right) > 0.95


def test_musiccaps_sentences_are_kept() -> None:
    with real_musiccaps().open(newline="") as file:
        sentences = sorted({s for row in csv.DictReader(file) for s in split_rater_sentences(row["caption"])})
    sample = sentences[::5]
    model = Relevance.load()
    kept = sum(model.probability(sentence) >= THRESHOLD for sentence in sample)
    assert kept / len(sample) >= 0.97
    filters = SentenceFilters(names=NameIndex())
    assert sum(not filters.reason(sentence) for sentence in sample) / len(sample) >= 0.97
