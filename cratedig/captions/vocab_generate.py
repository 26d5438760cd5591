"""`cratedig vocab generate`: a list of songs, a language model, and its answers on disk."""

from __future__ import annotations

import argparse
import contextlib
from collections import Counter
from typing import Any

from cratedig.captions.generate_options import ONE_TEXT_STOP, add_generate_options, object_of, pair_of

__all__ = ["add_generate"]


def add_generate(commands: Any) -> None:
    parser = commands.add_parser(
        "generate",
        help="ask a language model to describe a list of songs",
        description="Asks a model about every song, in shards that are written when they are whole: stop\n"
        "it, kill it, and run the same command again to go on; songs that failed are asked again.\n"
        "Clean the answers with `cratedig vocab clean OUT`.",
        epilog="examples:\n"
        "  cratedig vocab generate songs.csv --out raw --server http://localhost:8000/v1 --model NAME --chat\n"
        "  cratedig vocab generate songs.csv --out raw --serve --model NAME --chat --samples 4\n"
        "  cratedig vocab generate tags.csv --out raw --vllm --model NAME --task tags --price-per-hour 3.5\n"
        "  cratedig vocab generate songs.csv --out raw --model gpt-4o-mini --chat --batch-requests batch.jsonl\n"
        "  cratedig vocab generate songs.csv --out raw --model gpt-4o-mini --chat --batch-answers output.jsonl\n"
        "  cratedig vocab generate songs.csv --out raw --transformers --model FOLDER --max-tokens 64\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_generate)
    add_generate_options(parser)


def _generate(args: argparse.Namespace) -> int:
    from pipeline.errors import BadInput
    from vocab.importing import write_skips
    from vocab.llm.prompts import PromptTemplate
    from vocab.llm.songs import read_songs

    sampling, settings = _sampling(args), _settings(args)
    for name in ("songs_per_shard", "shots"):
        given = getattr(args, name)
        if given is not None and given < (least := int(name != "shots")):
            raise BadInput(f"--{name.replace('_', '-')} is {given}; expected {least} or more")
    template = PromptTemplate.load(args.template or args.task, shots=args.shots, structured=args.json)
    songs, skips = read_songs(args.songs, template.fields)
    for remark in skips.remarks:
        print(f"{args.songs}: {remark}")
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in skips.as_dict().items())
    print(f"{len(songs):,} songs" + (f"; left out: {left_out}" if left_out else ""))
    print(
        f"{sampling.samples} answers a song, temperature {sampling.temperature:g}, top-p {sampling.top_p:g}, at "
        f"most {sampling.max_tokens} tokens, seed {args.seed}; template {template.hash}, "
        f"{min(template.shots, len(template.examples))} of {len(template.examples)} examples in a prompt"
    )
    per_shard = args.songs_per_shard or (1024 if settings.kind == "vllm" else 64)
    if args.dry_run:
        _show(songs, template, settings, sampling, args, per_shard)
        return 0
    from beam_jobs.generate import begin_generation

    job = begin_generation(
        args.out,
        songs,
        settings=settings,
        sampling=sampling,
        template=template,
        seed=args.seed,
        songs_per_shard=per_shard,
        licence=args.licence,
    )
    write_skips(f"{args.out}/songs", skips)
    if args.batch_requests:
        from beam_jobs.generate import write_batch

        lines = write_batch(job, args.batch_requests)
        print(f"{args.batch_requests}: {lines:,} requests; give their answers back with --batch-answers")
        return 0
    return _run_generation(job, args)


def _sampling(args: argparse.Namespace) -> Any:
    from vocab.llm.backend import Sampling

    return _checked(
        Sampling,
        samples=args.samples,
        temperature=args.temperature,
        top_p=args.top_p,
        top_k=args.top_k,
        min_p=args.min_p,
        max_tokens=args.max_tokens,
        stop=tuple(args.stop) if args.stop is not None else () if args.chat or args.json else ONE_TEXT_STOP,
    )


def _settings(args: argparse.Namespace) -> Any:
    from pipeline.errors import BadInput
    from vocab.llm.backend import BackendSettings

    server = bool(args.server or args.serve or args.batch_requests or args.batch_answers)
    if args.request and not server:
        raise BadInput("--request names fields of a server's request; it goes with --server, --serve and batch files")
    if args.chat_template_kwargs and not args.chat:
        raise BadInput("--chat-template-kwargs goes with --chat: without it there is no chat template")
    return _checked(
        BackendSettings,
        kind="vllm"
        if args.vllm
        else "transformers"
        if args.transformers
        else "batch"
        if args.batch_answers
        else "server",
        model=args.model,
        url=args.server,
        aliases=tuple(args.model_alias),
        api_key_variable=args.api_key_env,
        chat=args.chat,
        chat_template_kwargs=object_of("--chat-template-kwargs", args.chat_template_kwargs),
        structured=args.json,
        request=object_of("--request", args.request),
        batch_answers=tuple(args.batch_answers),
        concurrency=args.concurrency,
        requests_per_minute=args.requests_per_minute,
        timeout_s=args.timeout,
        patience_s=args.patience,
        engine=dict(pair_of("--engine", text) for text in args.engine),
    )


def _checked(kind_of: Any, /, **values: Any) -> Any:
    from pydantic import ValidationError

    from pipeline.errors import BadInput

    try:
        return kind_of(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"--{str(first['loc'][0]).replace('_', '-')} is {first['input']!r}: {first['msg']}") from error


def _show(songs: Any, template: Any, settings: Any, sampling: Any, args: argparse.Namespace, per_shard: int) -> None:
    """The first prompt, and what all of them come to."""
    from vocab.llm.prompts import estimated_tokens

    request = template.request(songs[0], template.draw(args.seed, 0), seed=0)
    if settings.chat:
        print("\n".join(f"[{role}]\n{content}" for role, content in request.messages))
    else:
        print(request.prompt)
    requests = len(songs) * sampling.samples
    read, written = estimated_tokens(songs, template, seed=args.seed, per_shard=per_shard), sampling.max_tokens
    read *= sampling.samples
    print(
        f"\n{requests:,} requests: about {read / 1e6:,.2f} million tokens to read (four letters each), and at most "
        f"{requests * written / 1e6:,.2f} million to write"
    )
    if args.price_in or args.price_out:
        print(f"price: at most {(read * args.price_in + requests * written * args.price_out) / 1e6:,.2f}")


def _run_generation(job: Any, args: argparse.Namespace) -> int:
    from dataclasses import replace

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
        if args.price_per_hour and sentences:
            cost = args.price_per_hour * seconds / 3600 / sentences * 1e6
            parts.append(f"{cost:,.2f} a million sentences before cleaning")
        return ", ".join(filter(None, parts))

    with contextlib.ExitStack() as stack:
        if args.serve and job.todo():
            from vocab.llm.served import ServedModel

            served = stack.enter_context(ServedModel(args.serve, model=args.model))
            job = replace(job, settings=job.settings.model_copy(update={"url": served.url}))
        view = stack.enter_context(JobView())
        run_job(job, Engine(workers=args.workers), view.watch(job, rates))
    counts = generation_counts(job)
    print(f"{counts['answers']:,} answers, {counts['sentences']:,} sentences in {job.root}")
    if counts["refused"]:
        print(f"{counts['refused']:,} were refused for good; why is in {job.root}/answers (finish_reason)")
    if counts["failed"]:
        print(f"{counts['failed']:,} failed (why: {job.root}/answers, finish_reason); the same command asks them again")
    print(f"next: cratedig vocab clean {job.root} --out captions.parquet")
    return 0
