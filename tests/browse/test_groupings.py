"""Groups in an order that people expect, and numbers in bins that outliers leave alone."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from circuitseer_core.browse.groupings import (
    encode,
    natural,
    number_columns_of,
    number_groups,
    values_of,
)


def test_levels_stand_in_their_natural_order() -> None:
    names = ["Level 10", "Level 2", "Level 2", "Level 1", None]
    groups = encode(pa.chunked_array([names]), 50)
    assert groups.labels == ("Level 1", "Level 2", "Level 10")
    assert groups.codes.tolist() == [2, 1, 1, 0, -1]
    assert sorted(["10", "9", "b", "a2", "a10"], key=natural) == ["9", "10", "a2", "a10", "b"]
    rows = ['{"l": "Level 10"}', '{"l": "Level 9"}']
    assert values_of(map(json.loads, rows), lambda numbers: []) == {"l": ["Level 9", "Level 10"]}


def test_names_stand_by_their_rows() -> None:
    groups = encode(pa.chunked_array([["b", "a", "b", "c 1"]]), 50)
    assert groups.labels[0] == "b" and set(groups.labels) == {"a", "b", "c 1"}
    assert encode(pa.chunked_array([["s 2", "s 10", "s 10"]]), None).labels == ("s 10", "s 2")


def test_numbers_are_grouped_with_one_group_beyond_either_end() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.uniform(0, 100, 500), [1e12, np.nan]])
    groups = number_groups(values)
    sizes = np.bincount(groups.codes[groups.codes >= 0])
    assert sizes.sum() == 501 and groups.codes[-1] == -1 and (sizes > 0).all()
    assert sizes.max() < 120, "no group holds nearly all"
    assert groups.labels[0].startswith("below ") or " to " in groups.labels[0]
    assert groups.labels[-1].endswith(" and more") and groups.codes[-2] == len(groups.labels) - 1
    low, high = (float(x) for x in groups.labels[1].split(" to "))
    inside = values[groups.codes == 1]
    assert low <= inside.min() and inside.max() < high


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (['{"n": 1}', '{"n": "2.5"}'], ["n"]),
        (['{"n": 1}', '{"n": "x"}'], []),
        (['{"n": true}', '{"n": false}'], []),
        (['{"n": 1}', '{"n": 1}'], []),
        (['{"n": 1}', '{"n": null}', '{"n": 3}'], ["n"]),
        (['{"n": 1}', '{"n": 2}', f'{{"n": 1{"0" * 400}}}'], []),
    ],
)
def test_columns_of_numbers(rows: list[str], columns: list[str]) -> None:
    assert number_columns_of(map(json.loads, rows)) == columns
