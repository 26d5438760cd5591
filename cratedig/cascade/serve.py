"""`cratedig serve`: a page and an API to hear a trained cascade."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_parser"]

_EPILOG = """\
examples:
  cratedig serve --from runs/tiny                         then open http://127.0.0.1:7860
  cratedig serve --from runs/gpu80 --max-seconds 30 --max-waiting 64 --port 8080

  curl -d '{"prompt": "slow solo piano", "seconds": 10}' -H 'Content-Type: application/json' \\
       http://127.0.0.1:7860/api/requests                 answers an id; docs/training.md has the rest
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="a page and an API to hear a trained cascade",
        description="Serve trained cascades: four clips a request, a queue that samples like requests together, "
        "progress, cancel, spectrograms, every stage to hear. Only this machine reaches it, unless --host says so.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--from", dest="run_folder", type=Path, metavar="FOLDER",
        help="what `cratedig train` or `export-model` wrote (default: runs/tiny; where that is not, the small cascade "
        "that comes with cratedig); each whole cascade in it is served",
    )  # fmt: skip
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 for all of the network; there is no login")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="0 for any that is free (default: 7860)")
    parser.add_argument("--max-seconds", type=float, default=30.0, metavar="S", help="longest clip (default: 30)")
    parser.add_argument("--max-waiting", type=int, default=32, metavar="N", help="longest queue (default: 32)")
    parser.add_argument("--batch", type=int, metavar="N", help="clips at once (default: what fits; 16 on a CPU)")
    parser.add_argument("--text-encoder", metavar="PATH", help="where the text encoder is, if it was moved")
    parser.add_argument("--compile", action="store_true", help="torch.compile: minutes to start once, then faster")
    parser.add_argument("--cuda-graphs", action="store_true", help="launch a GPU's kernels together")
    parser.add_argument("--cpu", action="store_true", help="no GPU even if there is one")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    import tempfile
    from importlib.util import find_spec

    from cratedig.cascade.train import _quiet
    from pipeline.errors import BadInput
    from pipeline.installation import install_command

    if find_spec("gradio") is None:
        raise BadInput(f"the page needs gradio: {install_command('serve')}")
    if args.batch is not None and args.batch < 1:
        raise BadInput(f"--batch {args.batch} must be at least 1")
    if args.max_waiting < 1 or not 0.1 <= args.max_seconds <= 3600:
        raise BadInput(f"--max-waiting {args.max_waiting} --max-seconds {args.max_seconds:g}: expected 1 or more, and "
                       "0.1 to 3600")  # fmt: skip
    with _listening(args.host, args.port) as socket, tempfile.TemporaryDirectory(prefix="cratedig-serve-") as folder:
        import torch
        import uvicorn

        from diffusion.serving.api import make_api
        from diffusion.serving.page import add_page
        from diffusion.serving.studio import Studio
        from labeling.report.pictures import mel_picture

        _quiet()
        device = "cuda" if torch.cuda.is_available() and not args.cpu else "cpu"
        cascades = _cascades(args, device)
        batch = args.batch or (
            16 if device == "cpu" else min(c.fitting_batch(args.max_seconds) for c in cascades.values())
        )
        studio = Studio(
            cascades, Path(folder), picture=lambda audio, rate_hz: mel_picture(audio, rate_hz).png, batch=batch,
            max_seconds=args.max_seconds, max_waiting=args.max_waiting,
        )  # fmt: skip
        app = add_page(make_api(studio), studio)
        if args.host not in ("127.0.0.1", "localhost", "::1"):
            print(f"anybody who reaches {args.host} can use this: there is no login", flush=True)
        host = f"[{args.host}]" if ":" in args.host else args.host
        print(f"{' and '.join(cascades)}: http://{host}:{socket.getsockname()[1]}  (Ctrl-C ends it)", flush=True)
        try:
            uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3)).run(sockets=[socket])
        finally:
            studio.close()
    return 0


def _listening(host: str, port: int) -> Any:
    """Before minutes are spent on models."""
    import socket

    from pipeline.errors import BadInput

    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"cannot listen on {host} port {port} ({error}); give another --port, or 0 for any that is free"
        ) from error


def _cascades(args: argparse.Namespace, device: str) -> Any:
    """Every cascade whose three stages are there."""
    from cratedig.cascade.chosen import chosen_run
    from diffusion.generation.cascade import CASCADES, load_cascade
    from pipeline.errors import BadInput

    run = chosen_run(args.run_folder)
    found, missing = {}, {}
    for name, stages in CASCADES.items():
        folders = {stage: run / stage for stage in stages}
        gone = [stage for stage in stages if not folders[stage].exists()]
        if gone:
            missing[name] = gone[0]
        else:
            found[name] = load_cascade(
                name, folders, device=device, text_encoder=args.text_encoder, compile=args.compile,
                cuda_graphs=args.cuda_graphs,
            )  # fmt: skip
    if not found:
        lacks = ", ".join(f"the {name} cascade lacks {stage}" for name, stage in missing.items())
        raise BadInput(f"{run} holds no whole cascade ({lacks}); train it: cratedig train all")
    return found
