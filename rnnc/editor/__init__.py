"""What an editor asks about a source: problems, meanings, completions, symbols.

In: texts as they are being written, and places in them. Out: plain data with spans. Nothing here
knows an editor or a protocol but `server.py`, which speaks LSP and is all that needs pygls.

Read it from here: `workspace.py` (the open texts), `pieces.py` (a text is parsed declaration by
declaration, so that a keystroke costs one of them), `analysis.py` (what is wrong and what names are
worth), then one for each question: `diagnostics.py`, `meaning.py`, `hover.py`, `completion.py` and
`outline.py`. Colours, which need no analysis, are in `highlight.py` and `pygments_lexer.py`.
"""
