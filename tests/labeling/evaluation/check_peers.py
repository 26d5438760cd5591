"""Other packages' own functions on `peer_sets`: writes peers.json, or says where it no longer holds.

    pip download --no-deps fadtk==1.1.0 kadtk==1.1.0 prdc==0.2 frechet-audio-distance==0.3.4   (unpack them in DIR)
    python -m tests.labeling.evaluation.check_peers DIR [--write]

Those packages pin old versions of much else and cannot be installed beside this one, so only the functions named here
are taken out of their files and run.
"""

from __future__ import annotations

import argparse
import ast
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from tests.labeling.evaluation.test_distances import peer_sets

__all__ = ["run_peers"]

_HERE = Path(__file__).parent


def _functions(file: Path, *names: str) -> dict[str, Any]:
    """The named functions (or methods) of a file, with what their imports would give them."""
    import torch
    from numpy.lib.scimath import sqrt
    from scipy import linalg
    from sklearn import metrics

    scope: dict[str, Any] = {
        "np": np, "torch": torch, "linalg": linalg, "scisqrt": sqrt, "sklearn": type("s", (), {"metrics": metrics}),
        "log": logging.getLogger("fadtk"), "tq": lambda rows, desc: rows, "SCALE_FACTOR": 100, "Path": Path,
        "PathLike": str, "Union": None.__class__,
    }  # fmt: skip
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name in names:
            node.args.defaults = [ast.Constant(None) if isinstance(d, ast.Attribute) else d for d in node.args.defaults]
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
            module = ast.fix_missing_locations(ast.Module([node], []))
            exec(compile(module, str(file), "exec"), scope)
    return scope


def run_peers(folder: Path) -> dict[str, Any]:
    """By file: fadtk/fad.py, kadtk/kad.py, prdc/prdc.py and frechet_audio_distance/fad.py, wherever they lie below."""
    import torch

    def file(package: str, name: str) -> Path:
        return next(path for path in sorted(folder.rglob(name)) if path.parent.name == package)

    a, b = peer_sets()
    fadtk = _functions(file("fadtk", "fad.py"), "calc_embd_statistics", "calc_frechet_distance", "score_inf")
    stats = fadtk["calc_embd_statistics"]

    class Stub:
        class ml:
            name = "peer"

        load_stats = staticmethod(lambda path: stats(a))
        _load_embeddings = staticmethod(lambda files, concat: b)

    fadtk["FADInfResults"] = lambda **found: found
    np.random.seed(5)
    inf = fadtk["score_inf"](Stub(), "", [Path("x.wav")], 25, 100)
    kadtk = _functions(file("kadtk", "kad.py"), "calc_kernel_audio_distance", "median_pairwise_distance")
    kernel = kadtk["calc_kernel_audio_distance"]
    other = _functions(file("frechet_audio_distance", "fad.py"), "calculate_frechet_distance")
    prdc = _functions(
        file("prdc", "prdc.py"),
        "compute_pairwise_distance", "get_kth_value", "compute_nearest_neighbour_distances", "compute_prdc",
    )  # fmt: skip
    return {
        "fadtk": float(fadtk["calc_frechet_distance"](*stats(a), *stats(b))),
        "fadtk_inf": float(inf["score"]),
        "fadtk_inf_r2": float(inf["r2"]),
        "frechet_audio_distance": float(
            other["calculate_frechet_distance"](None, a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))
        ),
        "kadtk": float(
            kernel(torch.tensor(a), torch.tensor(b), (None, None), "cpu", None, "gaussian", torch.float64, 1e-8)
        ),
        "prdc": {name: float(value) for name, value in prdc["compute_prdc"](a, b, 5).items()},
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    found, file = run_peers(args.folder), _HERE / "peers.json"
    if args.write:
        file.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({"found": found, "stored": json.loads(file.read_text())}, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
