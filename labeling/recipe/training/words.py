"""Words that captions contain without stating a fact: the model learns to read past them."""

from __future__ import annotations

__all__ = ["FILLER_PHRASES", "MUSICCAPS_WORDS_KNOWN", "NEUTRAL_WORDS"]

FILLER_PHRASES: tuple[str, ...] = (
    *("in this recording", "throughout the track", "in the background", "from start to end", "on the whole"),
    *("it would suit a film scene", "this could be heard in a cafe", "played by a skilled musician", "as an intro"),
    *("recorded in a studio", "with a catchy tune", "made for listening", "the listener can hear it clearly"),
    *("it sounds like a demo", "suitable for a video", "good for a late evening", "played live", "in the middle"),
    *("with a melodious theme", "in the style of an old record", "that keeps going", "over and over again"),
    *("it may be playing in a bar", "which sets the mood", "with great feeling", "this song is from another time"),
)

NEUTRAL_WORDS: tuple[str, ...] = tuple(
    """
    a an the this that these is are was it its of in on at by for from to and or with as into over under while where
    which there here has have had be being been can could may might would will one two three four more most very quite
    rather fairly slightly really some any all each other others another both same different various several
    music song songs piece pieces track tracks tune tunes recording record number work composition excerpt clip loop
    audio sound sounds sounding quality style genre mood feeling atmosphere vibe character theme section part parts
    melody melodies harmony harmonies rhythm rhythms lines pattern patterns sample samples effect effects element
    elements texture textures tone tones note range mix mixed mixer stereo production performance performed performing
    plays play player playing playback played listen listener listening hear heard we
    features featuring contains containing consists starts ends begins followed accompanied supported
    underneath backed backup led driven built based around along together alongside through throughout
    hits flat roll cover beats crash dancing pedal engaging higher regional foreign room show vintage short modern riser
    sonic world melodious buzzy youtube experimental unbalanced tuning articulation open key filtered contemporary
    auto average thin time documentary south messy life out progressive slower demo lyrics captivating sharp
    glass booming lilting crashing wedding chinese heart generic crushed fade resonating tropical introduction fruity
    technique unique influences american studio instructive ride super echoes impact exotic remix night stuttering
    staccato finger lessons bas lick entertaining african great meditational triangle tribal fusion cartoon
    percussively slide filter resounding rebellious chattering harmonized table comedy beautiful compelling
    cool you adventurous intro rising ska camera learning nostalgia celebration prayer outdoor improvisation singers
    pitch wide language new old young bar cafe film scene game evening morning dance floor radio wave street home
    crowd stage concert festival city country side memory friend journey day summer winter bit slow-burning
    """.split()
)

MUSICCAPS_WORDS_KNOWN = 499
"""Of the 500 most used words in the aspect tags of the public MusicCaps list, how many `tokenizer.known_words` has; the
one left out is "4". Counted by `benchmarks/bundled_model.py --musiccaps FILE`."""
