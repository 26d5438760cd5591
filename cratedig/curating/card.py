"""`cratedig card`: what only the publisher of a crate can say of it, and its card made anew."""

from __future__ import annotations

import argparse
from typing import Any

from cratedig.options import add_command

__all__ = ["add_parser"]


def add_parser(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "card",
        help="write a crate's card, datasheet and croissant.json with who publishes it and when",
        about="README.md, ATTRIBUTION.csv, croissant.json and DATASHEET.md are written with every mining; this "
        "adds what cratedig cannot know. It is kept in published.json, and exports made afterwards say it, too. Other "
        "blanks of DATASHEET.md are for you to fill in: the file is never written over.",
        example="  cratedig card crates/mine --contact removals@example.org --published 2026-11-26",
        run=_run,
    )
    parser.add_argument("crate", help="folder of a crate")
    parser.add_argument("--contact", metavar="WHOM", help="whom to ask for a removal: an address or a page")
    parser.add_argument("--published", metavar="DAY", help="when it was published, such as 2026-11-26")


def _run(args: argparse.Namespace) -> int:
    from pipeline.crate.crate import Crate
    from pipeline.publishing.card import write_card
    from pipeline.publishing.published import write_published

    crate = Crate.open(args.crate)
    crate.require_settled()
    crate.require_clips()
    with crate.storage.lock():
        said = write_published(crate.storage, contact=args.contact, date=args.published)
        write_card(crate)
    print(f"{crate.storage.url}: contact {said.get('contact') or 'not said'}, "
          f"published {said.get('date') or 'not said'}")  # fmt: skip
    return 0
