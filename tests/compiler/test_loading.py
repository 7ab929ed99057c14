"""Files and imports: what is found, what is refused, and that nothing outside is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rnnc.compiler import library, loading
from rnnc.compiler.files import FileError
from rnnc.grammar.problems import Problems

LEAF = "cell Leaf(n): ((), x[n]) -> ((), y) {\ny = 2 * x\n}\nfn twice(a) = 2 * a\n"


def write(folder: Path, **texts: str) -> Path:
    """Write sources; a `__` in a name is a `/`. Returns the folder's `main.rnn`."""
    for name, text in texts.items():
        path = folder / f"{name.replace('__', '/')}.rnn"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "main.rnn"


def codes(path: Path) -> list[str]:
    with pytest.raises(Problems) as caught:
        library.load(path)
    return [problem.code for problem in caught.value.problems]


def test_cells_and_functions_are_imported_from_files_beside_and_below(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import Leaf, twice from "leaf.rnn"\nimport Pair from "sub/pair.rnn"\n'
        "import GRU from std\ncell Main(n) = Leaf(n) >> Pair(n) >> Last(n) >> GRU(n, n)\n"
        "cell Last(n): ((), x[n]) -> ((), y) {\ny = twice(x)\n}",
        leaf=LEAF,
        sub__pair='import Leaf from "../leaf.rnn"\ncell Pair(n) = Leaf(n) >> Leaf(n)',
    )
    cells = library.load(main)
    assert list(cells) == ["Main", "Last"]
    assert [state.name for state in cells.Main(3).states] == ["3.h"]
    assert not cells.check()


def test_problems_of_an_imported_file_are_shown_in_it(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import Leaf from "sub/leaf.rnn"\ncell Main(n) = Leaf(n) >> Laef(n)',
        sub__leaf=LEAF.replace("2 * x", "2 * z"),
    )
    with pytest.raises(Problems) as caught:
        library.load(main)
    places = [(p.code, Path(p.span.source.name).name) for p in caught.value.problems]
    assert sorted(places) == [("unknown-cell", "main.rnn"), ("unknown-name", "leaf.rnn")]


def test_a_file_that_cannot_be_imported_makes_no_further_problem(tmp_path: Path) -> None:
    main = write(tmp_path, main='import Leaf from "leef.rnn"\ncell Main(n) = Leaf(n)', leaf=LEAF)
    assert codes(main) == ["import-not-found"]


@pytest.mark.parametrize("path", ["../leaf.rnn", "sub/../../leaf.rnn", "/leaf.rnn"])
def test_nothing_outside_the_folder_is_read(tmp_path: Path, path: str) -> None:
    main = write(tmp_path / "in", main=f'import Leaf from "{path}"\ncell Main(n) = Leaf(n)')
    write(tmp_path, leaf=LEAF)
    assert codes(main) == ["import-outside-root"]


def test_a_link_does_not_lead_outside(tmp_path: Path) -> None:
    main = write(tmp_path / "in", main='import Leaf from "link.rnn"\ncell Main(n) = Leaf(n)')
    write(tmp_path, leaf=LEAF)
    (tmp_path / "in" / "link.rnn").symlink_to(tmp_path / "leaf.rnn")
    assert codes(main) == ["import-outside-root"]
    os.unlink(tmp_path / "in" / "link.rnn")
    write(tmp_path / "in", leaf=LEAF)
    (tmp_path / "in" / "link.rnn").symlink_to(tmp_path / "in" / "leaf.rnn")
    assert list(library.load(main)) == ["Main"]


def test_files_that_import_each_other_are_refused(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import A from "a.rnn"\ncell Main(n) = A(n)',
        a='import B from "b.rnn"\ncell A(n) = B(n)',
        b='import A from "a.rnn"\ncell B(n) = A(n)',
    )
    assert codes(main) == ["import-cycle"]
    assert codes(write(tmp_path, main='import M from "main.rnn"\ncell M(n) = M(n)'))[0] == (
        "import-cycle"
    )


def test_imports_nest_so_deep_and_no_deeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = write(
        tmp_path,
        main='import A from "a.rnn"\ncell Main(n) = A(n)',
        a='import Leaf from "leaf.rnn"\ncell A(n) = Leaf(n)',
        leaf=LEAF,
    )
    monkeypatch.setattr(loading, "DEEPEST_IMPORT", 3)
    library.load(main)
    monkeypatch.setattr(loading, "DEEPEST_IMPORT", 2)
    assert codes(main) == ["import-too-deep"]


def test_a_program_is_so_large_and_no_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = write(
        tmp_path,
        main='import A from "a.rnn"\nimport twice from "leaf.rnn"\ncell Main(n) = A(n)',
        a='import Leaf from "leaf.rnn"\ncell A(n) = Leaf(n)',
        leaf=LEAF,
    )
    size = sum(len(path.read_text()) for path in tmp_path.iterdir())
    monkeypatch.setattr(loading, "LARGEST_PROGRAM", size)
    library.load(main)
    monkeypatch.setattr(loading, "LARGEST_PROGRAM", size - 1)
    assert set(codes(main)) == {"too-large"}


def test_a_text_imports_standard_cells_but_no_files() -> None:
    assert list(library.loads("import GRU from std\ncell Main(n) = GRU(n, n)")) == ["Main"]
    with pytest.raises(Problems) as caught:
        library.loads('import Leaf from "leaf.rnn"\ncell Main(n) = Leaf(n)')
    assert [problem.code for problem in caught.value.problems] == ["import-not-found"]


def test_names_that_a_file_has_not_are_refused(tmp_path: Path) -> None:
    text = 'import Laef, missing from "leaf.rnn"\nimport LSTN from std\ncell Main(n) = Laef(n)'
    assert codes(write(tmp_path, main=text, leaf=LEAF)) == ["nothing-imported"] * 3


def test_a_name_is_imported_once(tmp_path: Path) -> None:
    text = 'import Leaf from "leaf.rnn"\ncell Leaf(n): ((), x[n]) -> ((), y) {\ny = 3 * x\n}'
    assert codes(write(tmp_path, main=text, leaf=LEAF)) == ["duplicate-name"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (LEAF.encode("utf-16"), "is not UTF-8 at byte 0 (it looks like UTF-16)"),
        (b"# \xe9\n" + LEAF.encode(), "is not UTF-8 at byte 2"),
        (b" " * (4 * 256 * 1024 + 1), "is larger than 256 KiB"),
    ],
)
def test_a_file_that_is_no_source_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "main.rnn"
    path.write_bytes(data)
    with pytest.raises(FileError) as caught:
        library.load(path)
    assert isinstance(caught.value, OSError) and reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_and_foreign_line_ends_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "main.rnn"
    for line_end in (b"\r\n", b"\r"):
        path.write_bytes(b"\xef\xbb\xbf" + LEAF.encode().replace(b"\n", line_end))
        assert list(library.load(path)) == ["Leaf"]


def test_a_folder_is_no_source_and_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="this is a folder: name a file of it"):
        library.load(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_reading_never_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.rnn")
    main = write(tmp_path, main='import Leaf from "pipe.rnn"\ncell Main(n) = Leaf(n)')
    assert codes(main) == ["import-not-found"]
    for path in (tmp_path / "pipe.rnn", tmp_path, tmp_path / "absent.rnn", Path("/dev/zero")):
        with pytest.raises(FileError):
            library.load(path)
