"""The version of rnnc, for what is written now and read by another version."""

from typing import Final

VERSION: Final = "0.1.0"
