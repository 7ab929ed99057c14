"""Everything that holds arrays: programs, nets with a state, their history, training helpers.

`recur.py` is what users meet; `program.py`, beneath it, owns no state.
"""
