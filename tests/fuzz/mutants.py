# ruff: noqa: RUF001 -- signs that look alike are what this file is about
"""Sources that nobody meant: shipped cells, generated programs and bad files, spoilt at random.

In: a seed. Out: a `Mutant`: the bytes of a file, and the `--set`s that its cells are called with.
The same seed gives the same mutant on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tests.fuzz.generator import generate

ROOT = Path(__file__).parents[2]
SHIPPED = ("grammar/cells", "examples", "tests/grammar/bad", "tests/compiler/bad")
GENERATED = 400  # programs of the generator that are spoilt

WORD = re.compile(r"[^\W\d]\w*'?|\d[\w.]*|\"[^\"\n]*\"|->|>>|\.\.|[<>=!]=|[ \t]+|.", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")

SIGNS = "( ) [ ] { } , : ; = -> >> .. . + - * / % @ ^ < <= == != ' \" # \\ ** && += $ ? | ~".split()
RESERVED = (
    "cell fn param const use import from std for in if else return true false None and or not "
    "repeat int complex size float bool function"
).split()
BORROWED = (
    "t pi inf x h h' tanh sum split reshape einsum where concat max zeros orthogonal normal delay "
    "__import__ __class__ exec eval lambda def class self np torch tl v0 p0 s0 T B run build "
    "print grad step training dropout NaN _ __ σ ﬁ ℎ"
).split()
NUMBERS = (
    "0 1 2 3 -1 0.0 .5 5. 1e 1e5 1e308 1e309 1e-400 1..2 0x10 1_000 00012 7.5 199 200 201 100000 "
    "65536 2147483647 2147483648 9007199254740993 " + "9" * 40 + " " + "9" * 41
).split()
LOOK_ALIKES = {
    "a": "аɑ", "c": "с", "e": "е", "o": "оο", "p": "р", "x": "хⅹ", "y": "у", "h": "һℎ", "W": "Ԝ",
    "H": "Н", "T": "Т", "f": "ﬁ", "0": "О٠", "1": "l１", "-": "−–‐", "*": "×·∗", "=": "＝",
    "(": "（", ")": "）", "[": "［", "'": "’′", '"': "“", ":": "：", ",": "，", ";": ";",
    " ": "\u00a0\u200b\u3000\u202e\t\f", "\n": "\r\x0b\u2028\u0085", ".": "․。",
}  # fmt: skip
BRACKETS = (
    ("(", ")"), ("tanh(", ")"), ("-", ""), ("not ", ""), ("x[", "]"), ("", ".T"), ("", "[0]"),
    ("x ^ ", ""), ("f((x, ", "x))"), ("if n > 0 { ", " }"), ("for i in 0..2 { ", " }"), ("{", "}"),
    ("reshape(", ", [1])"), ("where(x > 0, ", ", h)"),
)  # fmt: skip
DEPTHS = (1, 2, 3, 20, 99, 100, 101, 199, 200, 201)
TIMES = (2, 3, 10, 30, 100)
HUGE = (1_000, 5_000, 20_000)  # as often as `RARELY` says, in the place of either
RARELY = 0.04
LONGEST = 300_000  # characters of a mutant: past the limit of a source, and not by much

VALUES = (
    "0 1 2 3 4 5 6 8 16 -1 1.5 2.0 0.0 1e999 nan inf -inf true false tanh relu identity nosuch "
    "None x' 2147483647 2147483648 999999999999999999 1e3 0x10 ١ ''"
).split()


@dataclass(frozen=True)
class Mutant:
    """A spoilt source: what was done to it, and how its cells are called."""

    seed: int
    kind: str
    data: bytes
    settings: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", errors="replace")


def mutant(seed: int) -> Mutant:
    """The mutant of a seed."""
    random = Random(f"source {seed}")
    text, done = _some(random), []
    for _ in range(random.choice((1, 1, 1, 1, 1, 2, 2, 5))):
        kind = random.choices(tuple(MUTATIONS), SHARES)[0]
        text = MUTATIONS[kind](text, random)[:LONGEST]
        done.append(kind)
    data = text.encode("utf-8", errors="surrogatepass")
    if random.random() < 0.05:
        data = _bytes(data, random)
        done.append("bytes")
    return Mutant(seed, " ".join(dict.fromkeys(done)), data, _settings(text, random))


@cache
def corpus() -> tuple[tuple[str, ...], ...]:
    """The texts that are spoilt: by folder, and the parts of the file that has every construct."""
    folders = [
        tuple(path.read_bytes().decode("utf-8") for path in sorted((ROOT / folder).glob("*.rnn")))
        for folder in SHIPPED
    ]
    language = (ROOT / "tests/grammar/language.rnn").read_text(encoding="utf-8")
    return (*folders, tuple(language.split("\n\n")), (language,))


def _some(random: Random) -> str:
    """A text of the corpus, or a program of the generator."""
    if random.random() < 0.35:
        return generate(random.randrange(GENERATED)).text
    return random.choice(random.choices(corpus(), (4, 2, 1, 2, 4, 1))[0])


def _settings(text: str, random: Random) -> tuple[str, ...]:
    """Values for some of the names in the headers, and now and then for another."""
    names = re.findall(r"\w+", " ".join(re.findall(r"cell\s+\w+\(([^)]*)\)", text)))
    chosen = [name for name in dict.fromkeys(names) if random.random() < 0.6][:8]
    if random.random() < 0.1:
        chosen.append(random.choice((*BORROWED, "", "=")))
    likely = VALUES[1:8] if random.random() < 0.7 else VALUES
    return tuple(f"{name}={random.choice(likely)}" for name in chosen)


# -- mutations -----------------------------------------------------------------------------------


def _words(text: str, random: Random) -> str:
    """Take words away, write them twice, exchange them, put others in their place."""
    words = WORD.findall(text)
    for _ in range(random.choice((1, 1, 2, 4))):
        if not words:
            break
        at, other = random.randrange(len(words)), random.randrange(len(words))
        match random.randrange(5):
            case 0:
                del words[at]
            case 1:
                words.insert(at, words[other])
            case 2:
                words[at], words[other] = words[other], words[at]
            case 3:
                words[at] = random.choice((*SIGNS, *RESERVED, *BORROWED, *NUMBERS))
            case 4:
                words.insert(at, random.choice((*SIGNS, *RESERVED, *BORROWED)))
    return "".join(words)


def _names(text: str, random: Random) -> str:
    """Put one name in the place of another, once or everywhere."""
    names = sorted(set(re.findall(r"[^\W\d]\w*", text)))
    if not names:
        return text
    old, new = random.choice(names), random.choice((*names, *names, *RESERVED, *BORROWED))
    count = random.choice((0, 1))
    return re.sub(rf"\b{old}\b", lambda _: new, text, count=count)


def _lines(text: str, random: Random) -> str:
    """Take lines away, write them twice, exchange or join them."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(4):
        case 0:
            del lines[at : at + random.choice((1, 1, 3))]
        case 1:
            lines.insert(other, lines[at])
        case 2:
            lines[at], lines[other] = lines[other], lines[at]
        case 3:
            lines[at] = lines[at].rstrip("\r\n") + random.choice((" ", "; ", ""))
    return "".join(lines)


def _signs(text: str, random: Random) -> str:
    """Take characters away, or put any others there."""
    for _ in range(random.choice((1, 2, 5))):
        at = random.randrange(len(text) + 1)
        code = random.choice((random.randrange(128), random.randrange(0x110000)))
        sign = random.choice(("", chr(code)))
        text = text[:at] + sign + text[at + random.choice((0, 1, 1)) :]
    return text


def _splice(text: str, random: Random) -> str:
    """The beginning of one source and the end of another, or a piece of it in the middle."""
    other = _some(random)
    at, start = random.randrange(len(text) + 1), random.randrange(len(other) + 1)
    match random.randrange(3):
        case 0:
            return text[:at] + other[start:]
        case 1:
            return text[:at] + other[start : start + random.choice((5, 40, 200))] + text[at:]
        case _:
            return f"{text}\n{other}"


def _look_alikes(text: str, random: Random) -> str:
    """Put signs that look alike in the place of some."""
    share = random.choice((0.005, 0.03, 0.3))
    return "".join(
        random.choice(LOOK_ALIKES.get(sign, sign)) if random.random() < share else sign
        for sign in text
    )


def _nesting(text: str, random: Random) -> str:
    """Nest a word, or what stands right of an equal sign, any number of times."""
    left, right = random.choice(BRACKETS)
    depth = random.choice(HUGE if random.random() < RARELY else DEPTHS)
    places = [found.span(1) for found in re.finditer(r"= *([^\n={}]+)", text)]
    places += [found.span() for found in re.finditer(r"\w+", text)]
    if not places:
        return left * depth + text + right * depth
    start, stop = random.choice(places)
    closing = right * (depth if random.random() < 0.9 else random.randrange(depth + 1))
    return text[:start] + left * depth + text[start:stop] + closing + text[stop:]


def _numbers(text: str, random: Random) -> str:
    """Put a number that is a corner case in the place of one, or of a name."""
    places = [found.span() for found in NUMBER.finditer(text)]
    if not places or random.random() < 0.2:
        places += [found.span() for found in re.finditer(r"\b[^\W\d]\w*", text)]
    if not places:
        return text
    start, stop = random.choice(places)
    return text[:start] + random.choice(NUMBERS) + text[stop:]


def _repetition(text: str, random: Random) -> str:
    """Write a word, a line or everything many times."""
    times = random.choice(HUGE if random.random() < RARELY else TIMES)
    match random.randrange(4):
        case 0:
            words = WORD.findall(text) or [""]
            at = random.randrange(len(words))
            words[at] *= times
            return "".join(words)
        case 1:
            lines = text.splitlines(keepends=True) or [""]
            at = random.randrange(len(lines))
            lines[at] *= times
            return "".join(lines)
        case 2:
            found = random.choice([*re.finditer(r"= *([^\n={}]+)", text)] or [None])
            if found is None:
                return text
            sign = random.choice((" + ", " * ", " @ ", ", ", " >> ", " ^ ", " and ", " < "))
            whole = sign.join([found[1]] * times)
            return text[: found.start(1)] + whole + text[found.end(1) :]
        case _:
            return (text + "\n") * min(times, 50)


def _no_change(text: str, _random: Random) -> str:
    """Leave the text as it is: the `--set`s are what is wrong, if anything is."""
    return text


def _bytes(data: bytes, random: Random) -> bytes:
    """Bytes that are no text."""
    at = random.randrange(len(data) + 1)
    match random.randrange(3):
        case 0:
            return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at]
        case _:
            return data.decode("utf-8", errors="replace").encode("utf-16")


MUTATIONS: dict[str, Callable[[str, Random], str]] = {
    "words": _words,
    "names": _names,
    "lines": _lines,
    "signs": _signs,
    "splice": _splice,
    "look-alikes": _look_alikes,
    "nesting": _nesting,
    "numbers": _numbers,
    "repetition": _repetition,
    "settings": _no_change,
}
SHARES = (5, 6, 3, 2, 2, 2, 2, 4, 1, 2)  # how often each is chosen, in this order
