"""`cratedig vocab generate`: a list of songs, a language model, and its answers on disk."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from typing import Any

__all__ = ["add_generate"]


def add_generate(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="ask a language model to describe a list of songs",
        description="Asks a model about every song, in shards that are written when they are whole: stop\n"
        "it, kill it, and run the same command again to go on. Clean the answers with\n`cratedig vocab clean OUT`.",
        epilog="examples:\n"
        "  cratedig vocab generate songs.csv --out raw --server http://localhost:8000/v1 --model NAME\n"
        "  cratedig vocab generate songs.csv --out raw --vllm --model NAME --samples 4 --price-per-hour 3.5\n"
        "  cratedig vocab generate songs.csv --out raw --transformers --model FOLDER --max-tokens 64\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_generate)
    parser.add_argument(
        "songs", help="CSV or Parquet with the columns title and artist, and any that the template names"
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder of the run, new or begun by this command"
    )
    parser.add_argument("--model", required=True, help="name that the server knows, or a model's folder or hub name")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--server", metavar="URL", default="", help="OpenAI-compatible server, up to and including /v1")
    where.add_argument("--vllm", action="store_true", help="vLLM in this process; needs cratedig[vllm] and a GPU")
    where.add_argument("--transformers", action="store_true", help="transformers in this process, for small runs")
    parser.add_argument("--template", metavar="FILE", help="examples, then a line with {title} and {artist}")
    parser.add_argument("--samples", type=int, default=1, help="answers for each song (default: 1)")
    parser.add_argument("--temperature", type=float, default=0.9)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--max-tokens", type=int, default=128, help="of an answer (default: 128)")
    parser.add_argument(
        "--stop", action="append", metavar="TEXT", help="ends an answer (default: an empty line); repeatable"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--licence", default="unknown", help="of what the model writes, for the card")
    parser.add_argument(
        "--chat", action="store_true", help="use /chat/completions, for models that follow instructions"
    )
    parser.add_argument(
        "--api-key-env", default="OPENAI_API_KEY", metavar="NAME", help="variable that holds the server's key"
    )
    parser.add_argument("--concurrency", type=int, default=16, help="requests to a server at once (default: 16)")
    parser.add_argument("--requests-per-minute", type=float, default=0, metavar="N", help="at most (default: no limit)")
    parser.add_argument(
        "--patience", type=float, default=600, metavar="S", help="how long a server may be gone (default: 600)"
    )
    parser.add_argument("--timeout", type=float, default=120, metavar="S", help="for one answer (default: 120)")
    parser.add_argument(
        "--engine", action="append", default=[], metavar="NAME=VALUE", help="more arguments for vLLM's LLM"
    )
    parser.add_argument(
        "--songs-per-shard", type=int, default=64, metavar="N", help="lost at most by a kill (default: 64)"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes, each with its own model (default: 1)")
    parser.add_argument(
        "--price-per-hour", type=float, default=0, metavar="P", help="of the machine, for the cost shown"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the first prompt and what would be asked, then stop"
    )


def _generate(args: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from pipeline.errors import BadInput
    from vocab.importing import write_skips
    from vocab.llm.backend import BackendSettings, Sampling
    from vocab.llm.prompts import BUNDLED_TEMPLATE, PromptTemplate
    from vocab.llm.songs import read_songs

    try:
        sampling = Sampling(
            samples=args.samples,
            temperature=args.temperature,
            top_p=args.top_p,
            max_tokens=args.max_tokens,
            stop=tuple(args.stop) if args.stop is not None else ("\n\n",),
        )
        settings = BackendSettings(
            kind="server" if args.server else "vllm" if args.vllm else "transformers",
            model=args.model,
            url=args.server,
            api_key_variable=args.api_key_env,
            chat=args.chat,
            concurrency=args.concurrency,
            requests_per_minute=args.requests_per_minute,
            timeout_s=args.timeout,
            patience_s=args.patience,
            engine=dict(_engine_argument(text) for text in args.engine),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"--{str(first['loc'][0]).replace('_', '-')} is {first['input']!r}: {first['msg']}") from error
    if args.songs_per_shard < 1:
        raise BadInput(f"--songs-per-shard is {args.songs_per_shard}; expected 1 or more")
    template = PromptTemplate.load(args.template or BUNDLED_TEMPLATE)
    songs, skips = read_songs(args.songs)
    template.check(songs[0])
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in skips.as_dict().items())
    print(f"{len(songs):,} songs" + (f"; left out: {left_out}" if left_out else ""))
    print(
        f"{sampling.samples} answers a song, temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, at "
        f"most {sampling.max_tokens} tokens, seed {args.seed}; template {template.hash}, {len(template.prefix):,} "
        "characters of examples"
    )
    if args.dry_run:
        print(template.render(songs[0]))
        return 0
    from beam_jobs.generate import begin_generation

    job = begin_generation(
        args.out,
        songs,
        settings=settings,
        sampling=sampling,
        template=template,
        seed=args.seed,
        songs_per_shard=args.songs_per_shard,
        licence=args.licence,
    )
    write_skips(f"{args.out}/songs", skips)
    return _run_generation(job, workers=args.workers, price_per_hour=args.price_per_hour)


def _engine_argument(text: str) -> tuple[str, Any]:
    name, mark, value = text.partition("=")
    if not mark:
        from pipeline.errors import BadInput

        raise BadInput(f"--engine {text!r} is no NAME=VALUE; give one such as tensor_parallel_size=2")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _run_generation(job: Any, *, workers: int, price_per_hour: float) -> int:
    from beam_jobs.engine import Engine, run_job
    from beam_jobs.generate import generation_counts
    from cratedig.view import JobView

    def rates(done: Counter[str], seconds: float) -> str:
        if not done:
            return ""
        sentences, seconds = done["sentences"], max(seconds, 1e-9)
        parts = [
            f"{done['answers']:,} answers",
            f"{done['failed']:,} failed" if done["failed"] else "",
            f"{done['refused']:,} refused" if done["refused"] else "",
            f"{done['tokens'] / seconds:,.0f} tokens/s, {sentences / seconds:,.1f} sentences/s",
        ]
        if price_per_hour and sentences:
            parts.append(
                f"{price_per_hour * seconds / 3600 / sentences * 1e6:,.2f} a million sentences before cleaning"
            )
        return ", ".join(filter(None, parts))

    with JobView() as view:
        run_job(job, Engine(workers=workers), view.watch(job, rates))
    counts = generation_counts(job)
    print(f"{counts['answers']:,} answers, {counts['sentences']:,} sentences in {job.root}")
    if counts["refused"]:
        print(f"{counts['refused']:,} were refused for good; why is in {job.root}/answers (finish_reason)")
    if counts["failed"]:
        print(f"{counts['failed']:,} failed (why: {job.root}/answers, finish_reason); the same command asks them again")
    print(f"next: cratedig vocab clean {job.root} --out captions.parquet")
    return 0
