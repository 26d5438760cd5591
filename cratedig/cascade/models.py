"""`cratedig models`: the five models, their size beside the paper's, and what training them takes."""

from __future__ import annotations

import argparse
import json
from typing import Any

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  cratedig models                 the paper's five models: parameters beside Table 2's, operations, memory
  cratedig models --run tiny      the same of another named run
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "models",
        help="size and training memory of the five models",
        description="Parameters, operations and memory of the five models, counted from their shapes alone. Memory is "
        "of training in bf16: fixed (weights, gradients, Adam, EMA) and what each sample adds to it.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", dest="run_name", default="paper", metavar="NAME", help="named run (default: paper)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from diffusion.model.config import STAGES
    from diffusion.model.cost import stage_cost
    from diffusion.model.stages import PAPER_PARAMETERS_M
    from diffusion.training.runs import named_run

    rows = []
    for stage in STAGES:
        config = named_run(args.run_name, stage)
        cost = stage_cost(config.stage)
        rows.append(
            {
                "stage": stage,
                "parameters_m": round(cost.parameters / 1e6, 2),
                "table_2_m": PAPER_PARAMETERS_M[stage],
                "difference_percent": round(100 * (cost.parameters / 1e6 / PAPER_PARAMETERS_M[stage] - 1), 2),
                "train_tflop_per_sample": round(cost.train_tflop, 4),
                "fixed_gib": round(cost.fixed_gib, 3),
                "sample_gib": round(cost.activations_gib, 3),
                "checkpointed_sample_gib": round(cost.checkpointed_gib, 3),
                "device_batch": config.device_batch,
                "device_gib": round(cost.fixed_gib + config.device_batch * cost.activations_gib, 2),
            }
        )
    if args.json:
        print(json.dumps({"run": args.run_name, "models": rows}, indent=1))
        return 0
    _print_table(args.run_name, rows)
    return 0


def _print_table(run: str, rows: list[dict[str, Any]]) -> None:
    """Plain and 80 columns wide, so that it can be read anywhere and piped."""
    print(f"run {run}: parameters beside the paper's Table 2, and training in bf16")
    print(f"{'':22}{'-- parameters, M --':>21}{'TFLOP':>9}{'------ memory, GiB ------':>28}")
    print(f"{'stage':22}{'ours':>7}{'paper':>7}{'%':>7}{'/sample':>9}{'fixed':>8}{'/sample':>9}{'at batch':>11}")
    for row in rows:
        at_batch = f"{row['device_gib']:.1f} @{row['device_batch']}"
        print(
            f"{row['stage']:22}{row['parameters_m']:7.1f}{row['table_2_m']:7g}{row['difference_percent']:+7.1f}"
            f"{row['train_tflop_per_sample']:9.3f}{row['fixed_gib']:8.2f}{row['sample_gib']:9.2f}{at_batch:>11}"
        )
    print("With gradient checkpointing a sample takes (GiB): ", end="")
    print(", ".join(f"{row['stage']} {row['checkpointed_sample_gib']:.2f}" for row in rows))
