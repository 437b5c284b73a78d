"""What a config expects, and when a value is as expected."""

import math
from typing import Any

import pytest
from conftest import config, needs_torch

from trainer.cli import main
from trainer.config import expectations
from trainer.errors import ConfigError

pytestmark = pytest.mark.no_torch


@pytest.mark.parametrize(
    ("node", "good", "bad"),
    [
        (60, [60, 60.0], [61, True, "60", None]),
        (0.1 + 0.2, [0.1 + 0.2], [0.3]),
        ({"value": 0.3, "within": 1e-9}, [0.1 + 0.2, 0.3], [0.300001, math.nan]),
        ({"value": [1, 2], "within": 0.5}, [[1.5, 2], (1, 1.5)], [[1], [1, 2, 3], [1, 3], 1]),
        ({"at_least": 1.2}, [1.2, 9, math.inf], [1.1, math.nan, "2"]),
        ({"at_most": 1}, [1, -math.inf], [1.1, math.nan]),
        ({"at_least": 0, "at_most": 1}, [0, 0.5, 1], [-0.1, 1.1]),
        ([True, None, "cpu"], [[True, None, "cpu"]], [[1, None, "cpu"], [True, False, "cpu"]]),
    ],
)
def test_holds(node: Any, good: list[Any], bad: list[Any]) -> None:
    expectation = expectations.parse(node)
    assert [expectation.holds(value) for value in good] == [True] * len(good)
    assert [expectation.holds(value) for value in bad] == [False] * len(bad)


@pytest.mark.parametrize("node", [{}, {"within": 1}, {"value": 1, "at_most": 2}, {"worth": 3}, {"at_most": "two"}])
def test_nonsense_is_refused(node: Any) -> None:
    with pytest.raises(ValueError, match=r"takes|must be"):
        expectations.parse(node)


def test_numbers_are_written_as_in_the_chapter() -> None:
    values = [101770, 2.0084403576311183, 1.0059666211785645, -0.6000000000000001, [True, None], (64, 1)]
    assert [expectations.shown(value) for value in values] == [
        "101,770",
        "2.008",
        "1.006",
        "-0.6",
        "yes, None",
        "64, 1",
    ]
    assert expectations.shown_apart(expectations.parse(2.0084), 2.0083) == ("2.0084", "2.0083")


def test_a_config_says_where_its_expectation_is_wrong() -> None:
    with pytest.raises(ConfigError, match=r"expect.steps takes value, within, at_least, at_most, not more"):
        config("+expect.steps={more: 3}")
    with pytest.raises(ConfigError, match="expect is a group"):
        config("expect=3")


@needs_torch
def test_the_end_screen_compares(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report=false", "epochs=1", "+expect.steps=23", "+expect={val/acc:{at_least:0.999}}", "+expect.unknown=1"]
    assert main(["train", *words]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("expect")]
    assert said[0].startswith("expect   val/acc: >= 0.999, got 0.")
    assert said[1:] == ["expect   1 of 2 values are as expected"]
