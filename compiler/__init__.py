"""Syntax trees in, source of programs out. `pipeline.py` is the place to start reading.

Read downwards, each part importing those beneath it: backends; passes; derive, rewrite; ir; ops;
shapes. Nothing here holds an array but the oracle.
"""
