"""One pass a file, each a verb: a Scan in, a Scan out. None imports another; `pipeline.py` orders
them and says why each is there."""
