"""What a run stores about its data: digests of what was read, and an id and a role for each row."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch
from faults import FaultyOS
from hypothesis import given
from hypothesis import strategies as st

from trainer.data import digests, fingerprint, row_ids
from trainer.data.digests import Parts
from trainer.data.fingerprint import Fingerprint
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL
from trainer.disk import storage
from trainer.errors import StorageError, TrainerError


def of_rows(ids: list[int], roles: list[int], digest: tuple[int, int] = (1, 2)) -> Fingerprint:
    """A fingerprint of one file with rows of these ids."""
    parts = Parts.of(["data.csv"], [8 * len(ids)], [digest])
    return Fingerprint(parts, np.array(ids, dtype=np.uint64), np.array(roles, dtype=np.int8), "content")


def test_the_digest_is_xxh3_128() -> None:
    """The published value for no input, 99aa06d3014798d86001c324468d497f, as two int64."""
    stored = b"".join(half.to_bytes(8, "little", signed=True) for half in digests.of_bytes(b""))
    assert stored.hex() == "99aa06d3014798d86001c324468d497f"
    assert digests.of_bytes(b"ab") == digests.of_bytes(b"a", b"b") != digests.of_bytes(b"ba")


@given(st.data())
def test_one_changed_value_changes_one_id(data: st.DataObject) -> None:
    """In tensors and in columns, whatever row, place and bit it is."""
    num_rows, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 11))
    x = torch.randint(0, 256, (num_rows, width), dtype=torch.uint8)
    y = torch.arange(num_rows)
    before = row_ids.of_tensors(x, y)
    assert len(np.unique(before)) == num_rows
    row, place = data.draw(st.integers(0, num_rows - 1)), data.draw(st.integers(0, width - 1))
    x[row, place] ^= 1 << data.draw(st.integers(0, 7))
    changed = np.flatnonzero(row_ids.of_tensors(x, y) != before)
    assert changed.tolist() == [row]


@given(st.permutations(range(7)))
def test_a_row_keeps_its_id_wherever_it_and_its_columns_move(order: list[int]) -> None:
    numbers = np.array([1.5, -0.0, np.nan, 2.0**60, 3.0, 3.0, -7.25])
    texts = pa.array(["a", None, "ab", "", "é", "b", "a"])
    ids = row_ids.of_columns({"n": numbers, "t": texts})
    assert len(np.unique(ids)) == 7
    moved = row_ids.of_columns({"t": texts.take(pa.array(order)), "n": numbers[order] + 0.0})
    assert moved.tolist() == ids[order].tolist()
    renamed = row_ids.of_columns({"m": numbers, "t": texts})
    assert not np.isin(renamed, ids).any()


def test_a_part_is_compared_with_its_first_reading() -> None:
    parts = Parts.of(["a.png", "b.png"], [3, 4])
    parts.check(1, digests.of_bytes(b"four"))
    parts.check(1, digests.of_bytes(b"four"))
    with pytest.raises(TrainerError, match=r"b\.png has changed"):
        parts.check(1, digests.of_bytes(b"five"))
    again = Parts.of(["b.png", "c.png"], [4, 4])
    again.expect(parts)
    with pytest.raises(TrainerError, match=r"b\.png has changed"):
        again.check(0, digests.of_bytes(b"five"))


def test_differences_are_named() -> None:
    before = Parts.of(["a", "b", "c"], [1, 2, 3], [(1, 1), (2, 2), (3, 3)])
    now = Parts.of(["a", "b", "d"], [1, 9, 3], [(7, 7), (2, 2), (3, 3)])
    assert now.differences(before) == ["b had 2 bytes and has 9", "d is new", "c is gone", "a is changed"]
    many = Parts.of(list("vwxyz"), [1] * 5, [(1, 1)] * 5)
    assert many.differences(Parts.of([], [], [])) == ["v, w and 3 more are new"]
    rows = Parts.of(["D", "row 3 of D"], [9, 1], [(1, 1)] * 2, "rows")
    assert rows.differences(Parts.of(["D", "row 1 of D"], [4, 1], [(1, 1)] * 2, "rows")) == ["D had 4 rows and has 9"]
    grown = of_rows([1, 2, 3, 4], [0] * 4, (5, 5))
    lines = grown.differences(of_rows([1, 2, 9], [0] * 3))
    assert lines == ["2 rows are new", "1 row is gone", "data.csv had 24 bytes and has 32"]
    same = of_rows([1, 2, 2], [0] * 3)
    for ids, words in (
        ([1, 2, 2, 2], "1 row is new"),
        ([2, 1, 2], "the rows have another order"),
        ([1, 2, 2], "the same rows, written in another way"),
    ):
        assert of_rows(ids, [0] * len(ids), (9, 9)).differences(same)[0] == words


def test_rows_that_were_held_back_stay_out_of_training() -> None:
    """New rows are as drawn; of equal rows, as many as before validate, and as many train."""
    before = of_rows([10, 11, 12, 13, 14, 12], [TRAIN, VAL, TRAIN, TEST, LEFT_OUT, VAL])
    ids = np.array([99, 13, 12, 11, 10, 98, 10], dtype=np.uint64)
    drawn = np.array([VAL, TRAIN, TRAIN, TRAIN, VAL, TRAIN, LEFT_OUT], dtype=np.int8)
    assert before.keep_roles(ids, drawn).tolist() == [VAL, TEST, VAL, VAL, TRAIN, TRAIN, LEFT_OUT]
    twins = np.array([11, 11, 12, 12, 12], dtype=np.uint64)
    assert before.keep_roles(twins, np.array([TRAIN] * 5, dtype=np.int8)).tolist() == [VAL, VAL, VAL, TRAIN, TRAIN]
    copies = np.array([12, 12, 10, 13, 12], dtype=np.uint64)  # equal rows stay where they were drawn
    there = np.array([TRAIN, VAL, VAL, TEST, TRAIN], dtype=np.int8)
    assert before.keep_roles(copies, there).tolist() == [TRAIN, VAL, TRAIN, TEST, TRAIN]
    now = of_rows([10, 11, 12, 5, 10], [TRAIN] * 5, (7, 7))
    assert before.num_trained(now, np.array([True, True, True, True, False])) == 2
    now.known_by = "position"
    assert before.num_trained(now, now.ids > 0) is None


def test_a_fingerprint_is_read_back_and_a_damaged_one_refused(tmp_path: Path) -> None:
    made = of_rows([1, 2**64 - 1], [TRAIN, VAL], (-5, 2**63 - 1))
    fingerprint.write(tmp_path, made)
    back = fingerprint.read(tmp_path)
    assert back is not None
    assert (back.digest, back.differences(made)) == (made.digest, [])
    assert (back.ids.tolist(), back.roles.tolist()) == ([1, 2**64 - 1], [TRAIN, VAL])
    assert json.loads((tmp_path / "data.json").read_text())["parts"] == [["data.csv", 16]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("format", value) for value in (9, None, [1])],
        *[("parts", [["data.csv", size]]) for size in (float("inf"), float("nan"), 10**30, -5, "16", None, True, 1.5)],
        *[("parts", value) for value in (None, [], 3, [["a", 1], ["b", 1]], [[{"a": 1}, 16]], [["data.csv"]])],
        *[(key, value) for key in ("since", "rows") for value in (-1, 10**30, 1.5, None, 7 if key == "rows" else "7")],
        *[("known_by", "magic"), ("known_by", ["content"]), ("lazy", 1), ("unit", {}), ("unit", "rows" * 9)],
        *[("ids", torch.zeros(2)), ("ids", torch.zeros(3, dtype=torch.int64)), ("digests", torch.zeros(2, 2).long())],
        *[("roles", torch.full((2,), role, dtype=torch.int8)) for role in (9, -2)],
        *[("roles", torch.zeros(2)), ("roles", torch.zeros(1, 2, dtype=torch.int8)), ("about", torch.zeros(3))],
        *[(key, "absent") for key in ("format", "parts", "rows", "known_by", "lazy", "since", "unit", "ids", "about")],
    ],
)
def test_a_damaged_fingerprint_is_refused_in_one_line(key: str, value: Any, tmp_path: Path) -> None:
    fingerprint.write(tmp_path, of_rows([1, 2], [TRAIN, VAL]))
    path = tmp_path / "data.safetensors"
    tensors, about = safetensors.torch.load_file(path), json.loads((tmp_path / "data.json").read_text())
    changed = tensors if key in tensors else about
    changed[key] = value
    if value == "absent":
        del changed[key]
    if changed is about:
        tensors["about"] = torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(StorageError, match=r"data\.safetensors cannot be used: ") as caught:
        fingerprint.read(tmp_path)
    assert len(caught.value.message.splitlines()) == 1
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StorageError, match=r"data\.safetensors cannot be used: "):
        fingerprint.read(tmp_path)


def test_what_a_stranger_named_is_printed_without_its_escape_codes() -> None:
    now = Parts.of(["\x1b[2J\n" * 900 + "\udcff"], [1], [(1, 1)])
    (line,) = now.differences(Parts.of([], [], []))
    assert line.startswith("?[2J ?[2J ?")
    assert line.endswith("… is new")
    assert len(line) < 300


def test_a_write_that_is_cut_short_leaves_the_old_fingerprint_or_the_new(tmp_path: Path, monkeypatch: Any) -> None:
    """Every operation on the disk fails once: what is then read is the one or the other, and never half of each."""
    old, new = of_rows([1, 2, 3], [TRAIN, VAL, VAL]), of_rows([3, 4], [VAL, TRAIN], (7, 7))
    new.parts.names, new.since = ["other.csv"], 40
    states = set[tuple[Any, ...]]()
    for number in range(20):
        fingerprint.write(tmp_path, old)
        monkeypatch.setattr(storage, "os", FaultyOS(number, "no space"))
        with suppress(StorageError):
            fingerprint.write(tmp_path, new)
        monkeypatch.setattr(storage, "os", os)
        back = fingerprint.read(tmp_path)
        assert back is not None
        states.add((tuple(back.parts.names), tuple(back.ids.tolist()), tuple(back.roles.tolist()), back.since))
    assert states == {
        (("data.csv",), (1, 2, 3), (TRAIN, VAL, VAL), 0),
        (("other.csv",), (3, 4), (VAL, TRAIN), 40),
    }
