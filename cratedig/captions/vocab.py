"""`cratedig vocab`: make, clean, merge, embed and look at caption vocabularies."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from cratedig.captions.vocab_generate import add_generate

__all__ = ["add_parser"]

_RAW = argparse.RawDescriptionHelpFormatter
_VOCABULARY = "a vocabulary (.parquet), or bundled:long, bundled:short, bundled:written"


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "vocab",
        help="caption vocabularies: import, generate, clean, merge, embed",
        description="Caption vocabularies. A vocabulary is one Parquet file of one kind (long: sentences,\n"
        "short: tags) and a JSON card beside it that says where the captions come from\n"
        "and what every filter left out.",
        epilog="examples:\n"
        "  cratedig vocab import captions.txt --out mine.parquet\n"
        "  cratedig vocab generate songs.csv --out raw --server http://localhost:8000/v1 --model NAME\n"
        "  cratedig vocab clean raw --out clean.parquet --songs songs.csv\n"
        "  cratedig vocab stats bundled:long\n",
        formatter_class=_RAW,
    )
    commands = parser.add_subparsers(dest="vocab_command", metavar="COMMAND", required=True)
    _add_import(commands)
    _add_musiccaps(commands)
    _add_grammar(commands)
    add_generate(commands)
    _add_clean(commands)
    _add_merge(commands)
    _add_embed(commands)
    _add_stats(commands)


def _command(commands: Any, name: str, run: Any, help_text: str, description: str, example: str) -> Any:
    words = "\n".join(
        textwrap.fill(line, 78, subsequent_indent=" " * 16 * line.startswith("  ")) for line in description.split("\n")
    )
    parser = commands.add_parser(
        name, help=help_text, description=words, epilog=f"example:\n{example}", formatter_class=_RAW
    )
    parser.set_defaults(run=run)
    return parser


def _add_import(commands: Any) -> None:
    parser = _command(
        commands,
        "import",
        _import,
        "captions from a text, CSV or Parquet file",
        "One caption a row. Rows that cannot be used are counted on the card and listed in OUT.skipped.json.",
        "  cratedig vocab import captions.csv --column caption --out mine.parquet --licence CC0-1.0\n",
    )
    parser.add_argument("input", help=".txt (one a line), .csv, .tsv or .parquet; the first three also .gz")
    parser.add_argument("--out", required=True, metavar="FILE", help="vocabulary to write, NAME.parquet")
    parser.add_argument("--column", default="text", help="column that holds the captions (default: text)")
    parser.add_argument("--kind", choices=("long", "short"), default="long", help="sentences or tags (default: long)")
    parser.add_argument("--licence", default="unknown", help="of the captions, as an SPDX name where there is one")
    parser.add_argument("--note", default="", help="a sentence for the card")
    parser.add_argument(
        "--evaluation-derived", action="store_true", help="the captions come from a set that models are evaluated on"
    )


def _import(args: argparse.Namespace) -> int:
    from vocab.importing import import_captions
    from vocab.store import VocabularyCard

    card = VocabularyCard(
        name=Path(args.out).stem,
        kind=args.kind,
        source="import",
        licence=args.licence,
        evaluation_derived=args.evaluation_derived,
        note=args.note,
    )
    _say(args.out, import_captions(args.input, args.out, card=card, column=args.column))
    return 0


def _add_musiccaps(commands: Any) -> None:
    parser = _command(
        commands,
        "musiccaps",
        _musiccaps,
        "Rater-LF and Rater-SF from the CSV of MusicCaps",
        "Writes rater-lf.parquet (sentences) and rater-sf.parquet (tags). Both are marked as evaluation-derived; the "
        "label profile noise2music refuses Rater-LF, as the paper does (3.6).",
        "  cratedig vocab musiccaps musiccaps-public.csv --out vocabularies\n",
    )
    parser.add_argument("input", help="musiccaps-public.csv")
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder for the two vocabularies")


def _musiccaps(args: argparse.Namespace) -> int:
    from vocab.musiccaps import write_musiccaps

    long_out, short_out = f"{args.out}/rater-lf.parquet", f"{args.out}/rater-sf.parquet"
    for path, card in zip(
        (long_out, short_out), write_musiccaps(args.input, long_out=long_out, short_out=short_out), strict=True
    ):
        _say(path, card)
    return 0


def _add_grammar(commands: Any) -> None:
    parser = _command(
        commands,
        "grammar",
        _grammar,
        "captions from this project's grammar, as in the bundled vocabulary",
        "For a machine without a language model: sentences and tags of a grammar over music words, with the facts that "
        "each states. The bundled vocabularies are made so.",
        "  cratedig vocab grammar --kind long --count 100000 --seed 0 --out long.parquet\n",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="vocabulary to write, NAME.parquet")
    parser.add_argument("--kind", choices=("long", "short"), default="long", help="sentences or tags (default: long)")
    parser.add_argument("--count", type=int, metavar="N", help="distinct captions (default: 100000 long, all short)")
    parser.add_argument("--seed", type=int, default=0, help="of the sentences drawn (default: 0)")


def _grammar(args: argparse.Namespace) -> int:
    from pipeline.errors import BadInput
    from vocab.bundled import BUNDLED_LONG, write_grammar

    if args.count is not None and args.count < 1:
        raise BadInput(f"--count is {args.count}; expected 1 or more")
    count = BUNDLED_LONG if args.count is None and args.kind == "long" else args.count
    _say(args.out, write_grammar(args.out, kind=args.kind, count=count, seed=args.seed))
    return 0


def _add_clean(commands: Any) -> None:
    from vocab.cleaning.reasons import describe_reasons

    parser = _command(
        commands,
        "clean",
        _clean,
        "sentences out of raw answers, what is no caption left out",
        "Cuts answers into sentences, filters them, removes duplicates, near-duplicates and, with --evaluation, copies "
        "of evaluation captions. Every reason is counted on the card:\n" + describe_reasons(),
        "  cratedig vocab clean raw --out clean.parquet --songs songs.csv --evaluation eval.csv "
        "--evaluation-column caption\n",
    )
    parser.add_argument("input", help="folder of `vocab generate`, a vocabulary, or .txt, .csv, .tsv, .parquet")
    parser.add_argument("--out", required=True, metavar="FILE", help="vocabulary to write, NAME.parquet")
    parser.add_argument("--kind", choices=("long", "short"), default="long", help="sentences or tags (default: long)")
    parser.add_argument("--column", default="text", help="column of the captions in a file (default: text)")
    parser.add_argument("--licence", default="", help="of the captions (default: as the input says)")
    parser.add_argument("--songs", metavar="FILE", help="list of songs (title, artist) that no caption may name")
    parser.add_argument(
        "--evaluation", action="append", default=[], metavar="FILE", help="evaluation captions; repeatable"
    )
    parser.add_argument("--evaluation-column", default="caption", help="their column (default: caption)")
    parser.add_argument(
        "--near-duplicates", type=float, default=0.8, metavar="J", help="similarity that counts (default: 0.8; 2: off)"
    )
    parser.add_argument("--leaks", type=float, default=0.6, metavar="J", help="the same for leaks (default: 0.6)")
    parser.add_argument(
        "--keep-rejected", metavar="FILE", help="CSV of what the filters left out: text, reason, score, provenance"
    )
    parser.add_argument("--any-language", action="store_true", help="keep sentences that are not English")
    parser.add_argument("--any-subject", action="store_true", help="keep sentences that are not about music")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core)")


def _clean(args: argparse.Namespace) -> int:
    from dataclasses import replace

    from beam_jobs.cpus import usable_cpus
    from vocab.answers import open_source
    from vocab.cleaning.clean import CleanConfig, clean_vocabulary
    from vocab.cleaning.leak import evaluation_texts
    from vocab.llm.songs import read_songs

    config = CleanConfig.of_kind(args.kind)
    config = replace(
        config,
        near_duplicates=args.near_duplicates,
        leaks=args.leaks,
        english=config.english and not args.any_language,
        about_music=config.about_music and not args.any_subject,
    )
    songs = [(song.title, song.artist) for song in read_songs(args.songs)[0]] if args.songs else []
    evaluation = [text for path in args.evaluation for text in evaluation_texts(path, column=args.evaluation_column)]
    card = clean_vocabulary(
        open_source(args.input, column=args.column, licence=args.licence),
        args.out,
        config=config,
        songs=songs,
        evaluation=evaluation,
        workers=args.workers or usable_cpus(),
        keep_rejected=args.keep_rejected,
    )
    _say(args.out, card)
    return 0


def _add_merge(commands: Any) -> None:
    parser = _command(
        commands,
        "merge",
        _merge,
        "several vocabularies of one kind into one",
        "Each caption once, from the first vocabulary that has it. What is evaluation-derived stays so.",
        "  cratedig vocab merge clean.parquet bundled:long --out all.parquet\n",
    )
    parser.add_argument("inputs", nargs="+", metavar="VOCABULARY", help=_VOCABULARY)
    parser.add_argument("--out", required=True, metavar="FILE", help="vocabulary to write, NAME.parquet")


def _merge(args: argparse.Namespace) -> int:
    from vocab.merge import merge_vocabularies
    from vocab.store import open_vocabulary

    parts = [(path, open_vocabulary(path)) for path in args.inputs]
    _say(args.out, merge_vocabularies(parts, args.out, name=Path(args.out).stem))
    return 0


def _add_embed(commands: Any) -> None:
    parser = _command(
        commands,
        "embed",
        _embed,
        "embed a vocabulary's captions once, for every crate",
        "Writes captions-HASH.npy beside the vocabulary, where `cratedig label` finds it. Stop it and run it again to "
        "go on.",
        "  cratedig vocab embed captions.parquet --embedder laion-clap-folder --device cuda --workers 1\n",
    )
    parser.add_argument("input", metavar="VOCABULARY", help=_VOCABULARY)
    parser.add_argument("--embedder", default="bundled", help="name or folder of the model (default: bundled)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps (default: auto)")
    parser.add_argument("--out", metavar="FOLDER", default="", help="folder of the matrix (default: the vocabulary's)")
    parser.add_argument("--workers", type=int, default=0, help="processes (default: one a core; one for a GPU)")


def _embed(args: argparse.Namespace) -> int:
    import time

    from beam_jobs.cpus import usable_cpus
    from beam_jobs.engine import Engine, run_job
    from beam_jobs.vocab_embed import embed_job, join_embeddings
    from cratedig.view import JobView
    from labeling.embedders.by_name import embedder_card
    from pipeline.errors import BadInput

    if args.input.startswith("bundled:") and not args.out:
        raise BadInput(f"{args.input} lies in the installed package; give --out FOLDER for its embeddings")
    job = embed_job(args.input, embedder_card(args.embedder), embedder=args.embedder, device=args.device, root=args.out)
    workers = args.workers or (1 if args.device not in ("auto", "cpu") else usable_cpus())
    began = time.monotonic()
    with JobView() as view:
        done = run_job(job, Engine(workers=workers), view.watch(job))
    join_embeddings(job)
    seconds = max(time.monotonic() - began, 1e-9)
    rate = f", {min(done * job.shard_rows, job.captions) / seconds:,.0f} captions/s" if done else ""
    print(f"{job.root}/{job.name}: {job.captions:,} captions{rate}")
    return 0


def _add_stats(commands: Any) -> None:
    parser = _command(
        commands,
        "stats",
        _stats,
        "lengths, top words, duplicates, facts, examples",
        "What a vocabulary holds, from its card and its captions.",
        "  cratedig vocab stats bundled:long\n",
    )
    parser.add_argument("input", metavar="VOCABULARY", help=_VOCABULARY)
    parser.add_argument("--top", type=int, default=20, help="most used words and facts to show (default: 20)")
    parser.add_argument("--examples", type=int, default=8, help="captions to show (default: 8)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _stats(args: argparse.Namespace) -> int:
    from vocab.stats import lines, vocabulary_stats
    from vocab.store import open_vocabulary

    figures = vocabulary_stats(open_vocabulary(args.input), top=args.top, examples=args.examples)
    if args.json:
        print(json.dumps(figures, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines(figures)))
    return 0


def _say(path: str, card: Any) -> None:
    """One line about what was written, and what each step left out."""
    print(f"{path}: {card.captions:,} {card.kind} captions")
    for step, counts in card.yields.items():
        print(f"  {step}: " + ", ".join(f"{reason} {count:,}" for reason, count in counts.items()))
