"""The options of `cratedig vocab generate`."""

from __future__ import annotations

import argparse
import json
from typing import Any

from pipeline.errors import BadInput
from vocab.llm.tasks import SERVE_COMMAND, TASKS

__all__ = ["ONE_TEXT_STOP", "add_generate_options", "object_of", "pair_of"]

ONE_TEXT_STOP = ("\n\n",)
"""Where a model goes on with one text: an empty line, behind which it would begin the next song."""


def add_generate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("songs", help="CSV or Parquet with the columns that the task or template names")
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder of the run, new or begun by this command"
    )
    parser.add_argument("--model", required=True, help="name that the server knows, or a model's folder or hub name")
    where = parser.add_argument_group("the model").add_mutually_exclusive_group(required=True)
    where.add_argument("--server", metavar="URL", default="", help="OpenAI-compatible server, up to and including /v1")
    where.add_argument(
        "--serve",
        metavar="COMMAND",
        nargs="?",
        const=SERVE_COMMAND,
        default="",
        help=f"start this server, watch it, end it with the run (default: {SERVE_COMMAND})",
    )
    where.add_argument("--vllm", action="store_true", help="vLLM in this process; needs .[vllm] and a GPU")
    where.add_argument("--transformers", action="store_true", help="transformers in this process, for small runs")
    where.add_argument(
        "--batch-requests", metavar="FILE", default="", help="write requests without an answer for a hosted batch API"
    )
    where.add_argument(
        "--batch-answers", metavar="FILE", nargs="+", default=[], help="read what such batches came back as"
    )

    asked = parser.add_argument_group("what is asked")
    tasks = "; ".join(f"{name}: {about}" for name, about in TASKS.items())
    asked.add_argument("--task", choices=tuple(TASKS), default="song", help=f"{tasks} (default: song)")
    asked.add_argument("--template", metavar="FILE", help="of your own: instruction, examples, last the question")
    asked.add_argument(
        "--shots", type=int, default=8, metavar="N", help="examples in a prompt, drawn anew for each shard (default: 8)"
    )
    asked.add_argument(
        "--chat", action="store_true", help="in messages, for models that follow instructions; wants a chat template"
    )
    asked.add_argument("--chat-template-kwargs", metavar="JSON", default="", help='such as {"enable_thinking": false}')
    asked.add_argument("--json", action="store_true", help="hold answers to a JSON list of sentences")
    asked.add_argument(
        "--request", metavar="JSON", default="", help='more fields of a request: {"max_completion_tokens": 200}'
    )

    drawn = parser.add_argument_group("how answers are drawn")
    drawn.add_argument("--samples", type=int, default=1, help="answers for each song (default: 1)")
    drawn.add_argument("--temperature", type=float, default=0.9, help="(default: 0.9)")
    drawn.add_argument("--top-p", type=float, default=0.95, help="(default: 0.95)")
    drawn.add_argument("--top-k", type=int, default=0, help="(default: off)")
    drawn.add_argument("--min-p", type=float, default=0, help="(default: off)")
    drawn.add_argument("--max-tokens", type=int, default=128, help="of an answer (default: 128)")
    drawn.add_argument(
        "--stop",
        action="append",
        metavar="TEXT",
        help="ends an answer; repeatable (default: an empty line; with --chat or --json nothing)",
    )
    drawn.add_argument("--seed", type=int, default=0, help="of examples and answers (default: 0)")
    parser.add_argument("--licence", default="unknown", help="of what the model writes, for the card")

    server = parser.add_argument_group("servers")
    server.add_argument(
        "--model-alias", action="append", default=[], metavar="NAME", help="how the server may also call the model"
    )
    server.add_argument(
        "--api-key-env", default="OPENAI_API_KEY", metavar="NAME", help="variable that holds the server's key"
    )
    server.add_argument("--concurrency", type=int, default=16, help="requests to a server at once (default: 16)")
    server.add_argument("--requests-per-minute", type=float, default=0, metavar="N", help="at most (default: no limit)")
    server.add_argument(
        "--patience",
        type=float,
        default=600,
        metavar="S",
        help="how long a server may be gone, busy or loading (default: 600)",
    )
    server.add_argument("--timeout", type=float, default=120, metavar="S", help="for one answer (default: 120)")

    run = parser.add_argument_group("the run")
    run.add_argument(
        "--engine", action="append", default=[], metavar="NAME=VALUE", help="more arguments for vLLM's LLM"
    )
    run.add_argument(
        "--songs-per-shard", type=int, metavar="N", help="lost at most by a kill (default: 64; with --vllm 1024)"
    )
    run.add_argument("--workers", type=int, default=1, help="processes, each with its own model (default: 1)")
    run.add_argument("--price-per-hour", type=float, default=0, metavar="P", help="of the machine, for the cost shown")
    run.add_argument("--price-in", type=float, default=0, metavar="P", help="of a million tokens read, for --dry-run")
    run.add_argument("--price-out", type=float, default=0, metavar="P", help="of a million tokens written")
    run.add_argument("--dry-run", action="store_true", help="print the first prompt, tokens and price, then stop")


def object_of(option: str, text: str) -> dict[str, Any]:
    """The JSON object that an option was given."""
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise BadInput(f"{option} {text!r} is not JSON ({error}); give an object such as {{}}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{option} {text!r} is a {type(value).__name__}; give a JSON object such as {{}}")
    return value


def pair_of(option: str, text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON where it is JSON."""
    name, mark, value = text.partition("=")
    if not mark:
        raise BadInput(f"{option} {text!r} is no NAME=VALUE; give one such as tensor_parallel_size=2")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
