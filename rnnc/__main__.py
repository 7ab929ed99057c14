"""`python -m rnnc`."""

from __future__ import annotations

import sys

from .cli import main as main

if __name__ == "__main__":
    sys.exit(main())
