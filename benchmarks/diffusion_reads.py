"""How often a row group is read in one pass over a crate, by all ranks together.

    python -m benchmarks.diffusion_reads --clips 400000 --ranks 1 8 64 256

With the product's own order, the share of a step that each rank takes, and the row groups that its loader keeps.
"""

from __future__ import annotations

import argparse
import json
from collections import OrderedDict

from diffusion.data.order import EpochOrder, Mixture, lane_count
from diffusion.training.runs import named_run
from diffusion.training.trainer import step_positions

__all__ = ["main"]


def loads(clips: int, group_rows: int, ranks: int, batch: int, window: int) -> int:
    """Row groups that all ranks load in the steps of one epoch."""
    rows = [group_rows] * (clips // group_rows)
    lanes = lane_count(len(rows), window=window, ranks=ranks)
    order = Mixture([EpochOrder(rows, lanes=lanes, seed=0)], [1.0], lanes=lanes, seed=0)
    each = batch // ranks
    config = named_run("paper", "waveform-cascader").with_changes(global_batch=each * ranks, device_batch=each)
    keep = 2 * lanes // ranks + config.prefetch_batches  # as `ClipLoader` keeps them
    count = 0
    for rank in range(ranks):
        kept: OrderedDict[tuple[int, int], None] = OrderedDict()
        for step in range(order.clips // config.global_batch):
            for positions in step_positions(step, config, rank, ranks):
                for position in positions:
                    place = order.locate(position)
                    key = (place.source, place.part)
                    count += key not in kept
                    kept[key] = None
                    kept.move_to_end(key)
                    while len(kept) > keep:
                        kept.popitem(last=False)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=400_000)
    parser.add_argument("--group-rows", type=int, default=96)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--window", type=int, default=16)
    args = parser.parse_args()
    groups = args.clips // args.group_rows
    found = {n: round(loads(args.clips, args.group_rows, n, args.batch, args.window) / groups, 3) for n in args.ranks}
    print(json.dumps({"clips": args.clips, "reads_of_a_row_group": found}, indent=1))


if __name__ == "__main__":
    main()
