"""`python -m cratedig`: the same command."""

from __future__ import annotations

import sys

from cratedig.main import main

if __name__ == "__main__":
    sys.exit(main())
