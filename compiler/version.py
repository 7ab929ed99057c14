"""The version of rnnc, for what is written now and read by another version."""

VERSION = "0.1.0"
