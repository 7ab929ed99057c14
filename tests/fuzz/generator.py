"""Random programs in the language, valid by construction, from a seed.

In: a seed. Out: the text of a `.rnn` file, the cell in it that is meant, its sizes and options.
The same seed gives the same text on every machine. Programs speak the whole of the language but
for what this version refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from tests.fuzz.cells import CellWriter, Leaf, Signature
from tests.fuzz.values import Shape


@dataclass(frozen=True)
class Source:
    """A generated file: its text, and how to make the cell that is meant."""

    seed: int
    text: str
    cell: str
    sizes: tuple[int, ...]
    options: dict[str, Any]
    rows: int  # of the smallest table that an integer input picks from


# Pointwise bodies of one and of two arguments.
FUNCTIONS = {
    1: ("tanh({0}) + 0.1", "{0} * sigmoid(1.7 * {0})", "where({0} > 0.2, {0}, 0.3 * {0})",
        "square(tanh({0}))", "clamp({0}, -0.8, 0.9) - 0.05"),
    2: ("tanh({0}) * {1}", "{0} - 0.5 * sin({1})", "maximum({0}, 0.4 * {1})",
        "{0} / (1 + square({1}))"),
}  # fmt: skip


def generate(seed: int) -> Source:
    """The program of a seed."""
    random = Random(seed)
    parts: list[str] = []
    functions = [_function(random, at, parts) for at in range(random.randrange(3))]
    usable: list[Signature] = []
    for at in range(random.choice((0, 0, 1, 2))):
        helper = CellWriter(random, f"Helper{at}", small=True)
        text, signature = helper.write(functions)
        parts.append(text)
        usable.append(signature)
    if random.random() < 0.5:
        usable += _standard(random)
    if len(usable) > 1 and random.random() < 0.4:
        usable += _chains(usable)
    writer = CellWriter(random, random.choice(("Main", "Zelle", "Cell_1")), usable)
    text, signature = writer.write(functions)
    parts.append(text)
    used = set(writer.used)
    meant = signature
    if len(signature.outputs) == 1 and len(signature.outputs[0]) == 1 and random.random() < 0.35:
        text, used_here = _composed(random, signature)
        parts.append(text)
        used |= used_here
        meant = Signature("Net", "", (), signature.inputs, ())
    names = sorted({word for name in used for word in STANDARD if word in name})
    header = f"import {', '.join(names)} from std\n\n" if names else ""
    rows = min((rows for _, rows in writer.scope.tokens), default=1)
    body = "\n".join(_decorated(random, part) for part in parts)
    sizes: tuple[int, ...] = ()
    options: dict[str, Any] = {}
    if meant is signature:
        sizes = tuple(writer.scope.sizes.values())
        options = {o.name: _python_value(o.given) for o in writer.options if o.given}
    return Source(seed, header + body, meant.name, sizes, options, rows)


def _python_value(text: str) -> object:
    """An option as Python passes it: functions by name."""
    if text in ("true", "false"):
        return text == "true"
    return float(text) if text[0].isdigit() else text


def _function(random: Random, at: int, parts: list[str]) -> tuple[str, int]:
    """A `fn` of its own, as one expression or as a block."""
    count = random.choice((1, 1, 2))
    names = random.sample(["a", "b", "x", "β1"], count)
    body = random.choice(FUNCTIONS[count]).format(*names)
    name = f"own{at}"
    if random.random() < 0.5:
        parts.append(f"fn {name}({', '.join(names)}) = {body}\n")
    else:
        block = f"    inner = {body}\n    return 0.9 * inner + 0.01\n"
        parts.append(f"fn {name}({', '.join(names)}) {{\n{block}}}\n")
    return name, count


STANDARD = ("RNN", "LSTM", "GRU", "Dense", "MinGRU")


def _standard(random: Random) -> list[Signature]:
    """Some of the standard cells, at sizes of their own."""
    return [
        standard(name, random.randrange(1, 5), random.randrange(1, 5), random)
        for name in random.sample(STANDARD, 2)
    ]


def standard(name: str, inputs: int, outputs: int, random: Random) -> Signature:
    """The signature of a standard cell."""
    shape: Shape = (outputs,)
    carry: object = Leaf(shape)
    arguments = f"{inputs}, {outputs}"
    if name == "LSTM":
        carry = (Leaf(shape), Leaf(shape))
    elif name == "Dense":
        carry = ()
        arguments += random.choice(("", ", act=tanh", ", softsign"))
    return Signature(name, arguments, carry, ((inputs,),), (shape,), from_std=True)


def _chains(usable: list[Signature]) -> list[Signature]:
    """Pairs of cells that fit each other, as one: `A(2, 3) >> B(3)`."""
    found = []
    for first in usable:
        for second in usable:
            if first.outputs == second.inputs and len(first.outputs) == 1:
                found.append(
                    Signature(
                        f"{first.name}({first.arguments}) >> {second.name}",
                        second.arguments,
                        (first.carry, second.carry),
                        first.inputs,
                        second.outputs,
                    )
                )
    return found


def _composed(random: Random, main: Signature) -> tuple[str, set[str]]:
    """A chain that begins with `main`, with names, copies, and what it uses of std."""
    ((width,),) = main.outputs
    links, used, at = [f"{main.name}({main.arguments})"], set(), width
    for _ in range(random.choice((1, 1, 2))):
        name, after = random.choice(STANDARD), random.randrange(1, 5)
        used.add(name)
        if random.random() < 0.3:
            links.append(f"repeat({random.choice((1, 2))}, {name}({at}, {at}))")
        else:
            links.append(f"{name}({at}, {after})")
            at = after
    named = [f"part{i}: {link}" if random.random() < 0.4 else link for i, link in enumerate(links)]
    return f"cell Net() = {random.choice((' >> ', chr(10) + '    >> ')).join(named)}\n", used


def _decorated(random: Random, part: str) -> str:
    """With comments and line ends that mean nothing."""
    if random.random() < 0.3:
        part = f'# """ {{0}} %s \\\n# import os\n{part}'
    if random.random() < 0.15:
        part = part.replace("\n", "\r\n")
    if random.random() < 0.15:
        part = part.replace("    ", "\t")
    return part
