"""Sources with their white space and comments drawn anew: the same program, badly set.

In: the text of a good source, and a `Random`. Out: a text with the same syntax tree but for the
documentation, as comments stand wherever a line can end.
"""

from __future__ import annotations

from random import Random

from rnnc.grammar.brackets import CONTINUE
from rnnc.grammar.parse import read_words
from rnnc.grammar.problems import Collector
from rnnc.grammar.source import Source


def mangle(text: str, random: Random, *, comments: bool = True) -> str:
    """The source with other white space, and comments `# 0`, `# 1`, ... at some line ends."""
    words = read_words(Source("mangled", text), Collector())
    parts: list[str] = []
    depth = count = 0

    def line_end() -> str:
        nonlocal count
        ends = ""
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            if comments and random.random() < 0.35:
                ends += f"{random.choice(('', ' ', '   '))}#{random.choice(('', ' '))}{count}"
                count += 1
            ends += random.choice(("\n", "\n", "\r\n", "\n  ", "\n\t"))
        return ends

    for word, after in zip(words, [*words[1:], None], strict=True):
        depth += (word.type in ("LPAR", "LSQB")) - (word.type in ("RPAR", "RSQB"))
        if word.type == "LINE_END":
            parts.append(random.choice(("", " ", ";", " ; ")) + line_end())
            continue
        parts.append(word.span.text)
        may_end = depth > 0 or (after is not None and after.type in CONTINUE)
        if may_end and random.random() < 0.15:
            parts.append(line_end())
        else:
            parts.append(random.choice((" ", " ", "  ", "\t")))
    return "".join(parts)
