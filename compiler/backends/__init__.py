"""A Plan in, a Module of source text out: one backend a set of files. None imports a pass.

`to_numpy.py` is where NumPy's begins.
"""
