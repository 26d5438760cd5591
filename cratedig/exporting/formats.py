"""The formats of `cratedig export`: four layouts, and names of trainers that stand for one with its options."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FORMATS", "Format"]


@dataclass(frozen=True, kw_only=True)
class Format:
    """What a name on the command line stands for."""

    name: str
    help: str
    about: str
    layout: str
    example: str
    rate_hz: int | None = None
    """What its reader trains at; None where it takes any."""
    channels: int | None = None
    captions: str = "all"
    index: tuple[str, ...] = ()
    codec: str = "flac"


FORMATS = (
    Format(
        name="hf",
        help="Parquet with audio and text in one table, for Hugging Face datasets",
        about="One table: audio, text, captions, tags, metadata. load_dataset(DIR) reads it as it is.",
        layout="hf",
        example="  cratedig export hf crates/mine --out exports/hf\n"
        "  cratedig export hf crates/mine --out exports/hf44 --audio source --rate 44100 --channels 2",
    ),
    Format(
        name="wds",
        help="tar files for webdataset, with the two files that stable-audio-tools needs",
        about="KEY.flac, KEY.json and KEY.txt in tar files, at the crate's rate or any other.",
        layout="wds",
        example="  cratedig export wds crates/mine --out exports/wds --split hash:test=.05",
    ),
    Format(
        name="stable-audio",
        help="stable-audio-tools: wds at 44.1 kHz stereo, cut from the sources",
        about="Tar files, dataset_config.json and a custom_metadata.py that draws one of a clip's captions each time.",
        layout="wds",
        rate_hz=44_100,
        channels=2,
        example="  cratedig export stable-audio crates/mine --out exports/sao\n"
        "  cratedig export stable-audio crates/mine --out exports/sao --timing track",
    ),
    Format(
        name="folder",
        help="audio files with JSON beside them, and lists for one trainer or several",
        about="One tree of audio that several trainers share. An --index added later costs no audio.",
        layout="folder",
        example="  cratedig export folder crates/mine --out exports/files --index lhotse,tangoflux",
    ),
    Format(
        name="musicgen",
        help="audiocraft's MusicGen: 32 kHz mono, cut from the sources",
        about="egs/ lists and the dataset's YAML; a file (hard link) a caption, since audiocraft takes one a file.",
        layout="folder",
        rate_hz=32_000,
        channels=1,
        index=("audiocraft",),
        example="  cratedig export musicgen crates/mine --out exports/musicgen --split hash:test=.05,valid=.05",
    ),
    Format(
        name="ace-step",
        help="ACE-Step 1 and 1.5: 48 kHz stereo, cut from the sources",
        about="For 1 a folder that load_from_disk opens and captions are drawn from; for 1.5 audio with captions.csv.",
        layout="folder",
        rate_hz=48_000,
        channels=2,
        index=("ace-step", "ace-step-1.5"),
        example="  cratedig export ace-step crates/mine --out exports/ace --whole-tracks",
    ),
    Format(
        name="audioldm",
        help="AudioLDM-training-finetuning: 16 kHz mono",
        about="dataset_root.json and a list a split, whose reader draws captions.",
        layout="folder",
        rate_hz=16_000,
        channels=1,
        index=("audioldm",),
        example="  cratedig export audioldm crates/mine --out exports/audioldm",
    ),
    Format(
        name="tangoflux",
        help="TangoFlux: 44.1 kHz stereo, cut from the sources",
        about="A JSON list with a row a caption.",
        layout="folder",
        rate_hz=44_100,
        channels=2,
        index=("tangoflux",),
        example="  cratedig export tangoflux crates/mine --out exports/tango",
    ),
    Format(
        name="lhotse",
        help="lhotse: recordings and supervisions over audio files",
        about="Paths are relative: RecordingSet.from_file(...).with_path_prefix(DIR).",
        layout="folder",
        index=("lhotse",),
        example="  cratedig export lhotse crates/mine --out exports/lhotse --audio source --rate 48000",
    ),
    Format(
        name="captions",
        help="text without audio: JSON lines, and LP-MusicCaps' annotation.json",
        about="What is said of each clip, with its source's hash, its start and its duration instead of its sound.",
        layout="captions",
        example="  cratedig export captions crates/mine --out exports/captions --redact title,artist",
    ),
)
