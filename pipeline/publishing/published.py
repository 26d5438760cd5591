"""published.json: what only those who publish a crate can say of it. No part of its content."""

from __future__ import annotations

import datetime

from pipeline.errors import BadInput
from pipeline.storage import Storage

__all__ = ["PUBLISHED_FILE", "read_published", "write_published"]

PUBLISHED_FILE = "published.json"


def read_published(storage: Storage) -> dict[str, str]:
    """`contact`: whom to ask for a removal; `date`: when it was published, as 2026-11-26. Absent where nobody said."""
    said: dict[str, str] = storage.read_json(PUBLISHED_FILE) if storage.exists(PUBLISHED_FILE) else {}
    return said


def write_published(storage: Storage, *, contact: str | None = None, date: str | None = None) -> dict[str, str]:
    """Keeps what was said before and is not said now. Raises BadInput for what is no date."""
    if date:
        try:
            datetime.date.fromisoformat(date)
        except ValueError as error:
            raise BadInput(f"--published {date!r}: expected a day such as 2026-11-26") from error
    given = {name: " ".join(value.split()) for name, value in (("contact", contact), ("date", date)) if value}
    said = read_published(storage) | given
    storage.write_json(PUBLISHED_FILE, said)
    return said
