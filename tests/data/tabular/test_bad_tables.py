"""Files that are not what they should be: an error with file and line, or a treatment that the header names; and never
a value in another column than its own."""

import csv
import gzip
import io
import math
import random
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from table_rows import rows_of

from trainer.data.roles import TRAIN
from trainer.data.table import Prepared, Table
from trainer.data.tabular import matrix
from trainer.data.tabular.source import Source
from trainer.errors import ConfigError

HEAD = b"age,city,fare,label\n"
ROWS = b"".join(
    b"%d,%s,%.2f,%s\n" % (20 + i, (b"Oslo", b"Rome")[i % 2], i / 7, (b"yes", b"no")[i % 3 == 0]) for i in range(30)
)
GOOD = HEAD + ROWS


def line(number: int, text: bytes, data: bytes = GOOD) -> bytes:
    """The file with one line, counted from 1, in place of another."""
    lines = data.splitlines(keepends=True)
    lines[number - 1] = text + b"\n"
    return b"".join(lines)


def numbers(count: int, odd: bytes, at: int) -> bytes:
    return b"a,y\n" + b"".join(b"%d,%d\n" % (i, i % 2) if i != at else odd + b",1\n" for i in range(count))


def only_in_validation() -> bytes:
    rows = [
        b"%d,%s,%s\n" % (i, b"seldom" if i > 36 else b"often" if i % 2 else b"now", b"val" if i > 36 else b"train")
        for i in range(40)
    ]
    return b"a,y,part\n" + b"".join(rows)


REFUSED: dict[str, tuple[bytes, dict, str]] = {  # content, keys, what the message says
    "empty": (b"", {}, "is empty"),
    "blank lines alone": (b"\n\n\n", {}, "is empty"),
    "no rows": (HEAD, {}, "no row"),
    "a row too short": (line(7, b"3,Oslo,1.5"), {}, r"line 7: 3 values, the header has 4 columns"),
    "a row too long": (line(7, b"3,Oslo,1,5,yes"), {}, r"line 7: 5 values, the header has 4 columns"),
    "a last row too short": (GOOD + b"4,Rome", {}, r"line 32: 2 values"),
    "a value more in every row": (HEAD + ROWS.replace(b"\n", b",\n"), {}, r"line 2: 5 values"),
    "a name twice": (GOOD.replace(b"fare", b"age", 1), {}, "line 1: columns 1 and 3 are both named 'age'"),
    "a name twice but for a blank": (GOOD.replace(b"fare", b" age", 1), {}, "both named 'age'"),
    "a column without a name": (GOOD.replace(b"fare", b"", 1), {}, "line 1: column 3 has no name"),
    "no header": (b"1,2,3\n4,5,6\n", {}, "line 1 holds numbers"),
    "NUL": (line(5, b"3,Os\0lo,1.5,yes"), {}, "line 5 character 5: a NUL byte"),
    "UTF-16": (GOOD.decode().encode("utf-16"), {}, "UTF-16"),
    "UTF-16 without a mark": (GOOD.decode().encode("utf-16-le"), {}, "NUL"),
    "Latin-1": (line(9, "3,Tromsø,1.5,yes".encode("latin-1")), {}, "line 9 character 8: byte 0xf8 is not UTF-8"),
    "half a character at the end": (GOOD + "3,ø".encode()[:-1], {}, "line 32 character 3: byte 0xc3 is not UTF-8"),
    "a quote never closed": (line(6, b'3,"Oslo,1.5,yes'), {}, "line 6 character 3: a quote that is never closed"),
    "a quote closed lines later": (line(6, b'3,"Oslo,1.5,yes', line(9, b'3,"Oslo",1.5,yes')), {},
                                   "line 9 character 3: text after a closing quote; .*line 6 character 3 opened it"),
    "a quote inside": (line(6, b'3,5" pipe,1.5,yes'), {}, "line 6 character 4: a quote inside a value"),
    "text behind a quote": (line(6, b'3,"Os"lo,1.5,yes'), {}, "line 6 character 6: text after a closing quote"),
    "an unclosed header": (b'age,"city,label\n1,2,3\n', {}, "line 1"),
    "a lone carriage return": (line(6, b"3,Os\rlo,1.5,yes"), {}, "line 6 character 5: a carriage return"),
    "old Mac": (GOOD.replace(b"\n", b"\r"), {}, "old Mac"),
    "text at row 90,000": (numbers(90_500, b"abc", 90_000), {"target": "y"},
                           "line 90002 column 1 .a.: 'abc' is not a number"),
    "a date that is none": (b"d,y\n" + b"2026-01-05,1\n2026-02-05,0\n" * 20 + b"2026-13-05,1\n", {"target": "y"},
                            "line 42 column 1 .d.: '2026-13-05' is not a date"),
    "text in a column typed as numbers": (GOOD, {"types": {"city": "number"}},
                                          "line 2 column 2 .city.: 'Oslo' is not a number"),
    "no such target": (GOOD, {"target": "labell"}, "no column labell. Did you mean label"),
    "no such column to drop": (GOOD, {"drop": ["x"]}, "no column x"),
    "no such type": (GOOD, {"types": {"age": "int"}}, "age has the unknown type int"),
    "a constant target": (GOOD.replace(b",no\n", b",yes\n"), {}, "label is always yes"),
    "a constant number": (b"a,y\n" + b"1,2.5\n2,2.5\n" * 10, {"target": "y"}, "y is always 2.5"),
    "no target in any row": (b"a,y\n" + b"1,\n2,NA\n" * 10, {"target": "y"}, "no row with a y"),
    "a column that names no split": (b"a,d,y\n" + b"1,yes,0\n2,train,1\n" * 20,
                                     {"target": "y", "split": "column", "split_by": "d"}, "holds yes, not train"),
    "infinity in the target": (line(8, b"3,1e999", b"a,y\n" + b"1,3.5\n2,4.5\n" * 20),
                               {"target": "y"}, "line 8: y is infinite"),
    "a class in validation alone": (only_in_validation(), {"target": "y", "split": "column", "split_by": "part"},
                                    "class 'seldom' of y has no row to train on"),
    "a target never twice the same": (b"a,y\n" + b"".join(b"%d,name %d\n" % (i, i) for i in range(50)), {"target": "y"},
                                      "50 different texts"),
    "nothing to learn from": (b"a,y\n" + b"1,0\n1,1\n" * 20, {"target": "y"}, "no column to learn from: a .one value"),
    "gzip that is none": (GOOD, {"path": "t.csv.gz"}, "cannot be read: Not a gzipped file"),
    "gzip cut short": (gzip.compress(GOOD)[:-20], {"path": "t.csv.gz"}, "cannot be read: .*ended before"),
    "Parquet that is none": (GOOD, {"path": "t.parquet"}, "is not a Parquet file"),
    "two delimiters": (GOOD, {"delimiter": "::"}, "is not one character"),
    "another delimiter": (GOOD, {"delimiter": ";"}, "no column label"),
    "no such encoding": (GOOD, {"encoding": "utf-9"}, "unknown encoding"),
    "a codec that is no encoding": (GOOD, {"encoding": "hex"}, "not a text encoding"),
    "a pattern that nothing matches": (GOOD, {"path": "t.csv", "read": "*.tsv"}, "no file"),
    "a folder": (GOOD, {"path": "t.csv", "read": "."}, "is a folder"),
}  # fmt: skip

TREATED: dict[str, tuple[bytes, dict, str, int]] = {  # content, keys, what the header says, how many rows are left
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, {}, "age", 30),
    "Windows' line ends": (GOOD.replace(b"\n", b"\r\n"), {}, "age", 30),
    "no line end at the end": (GOOD[:-1], {}, "age", 30),
    "blank lines between": (GOOD.replace(b"\n", b"\n\n"), {}, "age", 30),
    "semicolons": (GOOD.replace(b",", b";"), {}, "separated by semicolons", 30),
    "tabs": (GOOD.replace(b",", b"\t"), {"path": "t.tsv"}, "separated by tabs", 30),
    "cp1252, as said": (line(9, "3,Tromsø,1.5,yes".encode("cp1252")), {"encoding": "cp1252"}, "city", 30),
    "a value of two lines": (line(9, b'3,"Os\nlo",1.5,yes'), {}, "city", 30),
    "numbers missing": (line(9, b"NA,Oslo,,yes"), {}, r"missing, imputed and marked: age 1, fare 1", 30),
    "numbers infinite": (line(9, b"3,Oslo,inf,yes", line(10, b"3,Oslo,-1e999,yes")), {},
                         "infinite, taken as missing: fare 2", 30),
    "no target in some rows": (line(9, b"3,Oslo,1.5,", line(10, b"3,Oslo,1.5,?")), {},
                               "2 of 30 rows without label are left out", 28),
    "an empty column": (b"z," + HEAD + b"".join(b"," + row + b"\n" for row in ROWS.splitlines()), {},
                        r"left out: z \(no value\)", 30),
    "a constant column": (b"z," + HEAD + b"".join(b"7," + row + b"\n" for row in ROWS.splitlines()), {},
                          r"left out: z \(one value\)", 30),
}  # fmt: skip


def everything(folder: Path, data: bytes, keys: dict) -> tuple[Prepared, list[tuple[torch.Tensor, torch.Tensor]]]:
    """The table prepared, and the rows of each part. Works on `folder`."""
    keys = {"target": "label", "path": "t.csv", **keys}
    path = folder / keys.pop("path")
    path.write_bytes(data)
    table = Table(str(folder / keys.pop("read", path.name)), **keys)
    prepared = table.prepare({"val_fraction": 0.2}, torch.float32, None)
    return prepared, [rows_of(prepared, role) for role in sorted(prepared.parts)]


@pytest.mark.parametrize("name", REFUSED)
def test_bad_files_are_refused_where_they_are_bad(name: str, tmp_path: Path) -> None:
    data, keys, message = REFUSED[name]
    with pytest.raises(ConfigError, match=message) as caught:
        everything(tmp_path, data, keys)
    assert "Arrow" not in caught.value.message


@pytest.mark.parametrize("name", TREATED)
def test_other_files_are_read_and_the_header_says_how(name: str, tmp_path: Path) -> None:
    data, keys, note, num_rows = TREATED[name]
    prepared, parts = everything(tmp_path, data, keys)
    assert any(re.search(note, line) for line in prepared.notes)
    assert all(len(line) <= 69 for line in prepared.notes)
    assert sum(len(x) for x, _ in parts) == num_rows
    assert all(bool(prepared.preprocessing.x.expand(x).isfinite().all()) for x, _ in parts)


def test_there_are_forty() -> None:
    print(f"bad tables: {len(REFUSED)} refused, {len(TREATED)} treated")
    assert len(REFUSED) >= 40


def reference(data: bytes, delimiter: str) -> list[list[str]]:
    """What Python's own parser makes of a file: rows of values, the header first, without empty lines."""
    text = data.decode().removeprefix("\ufeff")
    return [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row]


def as_number(text: str, missing: Sequence[str]) -> float:
    value = math.nan if text.strip() in missing else float(text)
    return value if math.isfinite(value) else math.nan


def mutated(chance: random.Random) -> bytes:
    """A good table with one slip or two: bytes put in, changed or left out, lines doubled, moved or cut."""
    data = bytearray(line(5, b'41,"Lou, near ""Paris""",7.25,no', GOOD))
    for _ in range(chance.randint(1, 2)):
        at, kind = chance.randrange(len(data)), chance.randrange(6)
        odd = chance.choice(
            [
                b",",
                b'"',
                b"\n",
                b"\r",
                b"\0",
                b"\xff",
                b";",
                b"\t",
                b" ",
                b"7",
                b"x",
                b"-",
                b".",
                b"\xc3\xb8",
                b'""',
                b"\r\n",
            ]
        )
        if kind == 0:
            data[at:at] = odd
        elif kind == 1:
            data[at : at + 1] = odd
        elif kind == 2:
            del data[at : at + chance.randint(1, 9)]
        elif kind == 3:
            data[at:at] = data[max(0, at - chance.randint(1, 60)) : at]
        elif kind == 4:
            del data[chance.randint(len(data) // 2, len(data)) :]
        else:
            data[at] ^= 1 << chance.randrange(8)
        if not data:
            break
    return bytes(data)


@pytest.mark.parametrize("count", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_mutated_files_are_refused_by_name_or_read_as_they_stand(count: int, tmp_path: Path) -> None:
    chance = random.Random(8)
    outcomes, told = {"read": 0, "refused": 0, "classes": 0}, set()
    for _ in range(count):
        data = mutated(chance)
        try:
            prepared, parts = everything(tmp_path, data, {"split": "random"})
        except ConfigError as error:
            outcomes["refused"] += 1
            told.add(re.sub(r"\d+", "0", error.message))
            continue
        outcomes["read"] += 1
        source = Source(str(tmp_path / "t.csv"), prepared.parts[TRAIN].data.dialect)  # all text
        names, *rows = reference(data, source.delimiter)
        assert source.names == [name.strip() for name in names]
        assert {len(row) for row in rows} == {len(names)}, data
        texts = [dict(zip(source.names, values, strict=True)) for values in rows]
        batches = list(source.batches())
        for name in source.names:
            found = [value for batch in batches for value in batch.columns[name].to_pylist()]
            assert found == [row[name] for row in texts], data
        made = prepared.preprocessing.table
        raw = np.concatenate([matrix.encode(batch, made.columns, made.dialect, None) for batch in batches])
        for index, column in enumerate(made.columns):
            if column.kind == "number":
                expected = [as_number(row[column.name], made.dialect.missing) for row in texts]
                np.testing.assert_array_equal(raw[:, index], expected, str(data))
        classes = prepared.preprocessing.facts.classes
        if classes is not None:
            outcomes["classes"] += 1
            assert all(int(y.min()) >= 0 and int(y.max()) < len(classes) for _, y in parts), data
        assert all(bool(prepared.preprocessing.x.expand(x).isfinite().all()) for x, _ in parts), data
    print(f"mutated tables: {outcomes}, {len(told)} different messages")
    assert [text for text in told if not any(word in text for word in ("t.csv", "label")) or "rrow" in text] == []
    assert min(outcomes.values()) > count // 20


def test_the_first_line_with_which_excel_names_the_separator_is_not_the_header(tmp_path: Path) -> None:
    rows = "a;y\r\n" + "".join(f"{i};{i}\r\n" for i in range(20))
    for start, name in (("", "plain"), ("sep=;\r\n", "excel"), ("\ufeffsep=;\n", "marked")):
        (tmp_path / f"{name}.csv").write_bytes((start + rows).encode())
    made = [Table(str(tmp_path / f"{name}.csv"), "y") for name in ("plain", "excel", "marked")]
    tables = [table.prepare({}, torch.float32, None).preprocessing.table for table in made]
    assert tables[0] == tables[1] == tables[2]
    (tmp_path / "excel.csv").write_bytes(f"sep=;\r\n{rows}x;9\r\n".encode())
    with pytest.raises(ConfigError, match=r"excel.csv line 23 column 1 \(a\): 'x' is not a number"):
        Table(str(tmp_path / "excel.csv"), "y").prepare({}, torch.float32, None)
