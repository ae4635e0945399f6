"""Amounts as people type them."""

from __future__ import annotations

import pytest

from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.commands import checked
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings


@pytest.mark.parametrize(
    ("typed", "share"),
    [("10%", 0.1), ("10 %", 0.1), ("0.1", 0.1), (".5", 0.5), ("0.5%", 0.005), (0.25, 0.25),
     ("100%", 1.0), ("1", 1.0), (" 7% ", 0.07), ("1e-2", 0.01)],
)  # fmt: skip
def test_shares(typed: object, share: float) -> None:
    assert SelectionSettings.of(fraction=typed).fraction == share
    assert SelectionSettings.of(target_ess=typed).target_ess == share


@pytest.mark.parametrize(
    ("typed", "number"),
    [("2k", 2000), ("1.5M", 1_500_000), ("2_000", 2000), ("2,000,000", 2_000_000), ("7", 7),
     ("1e3", 1000), (12, 12), ("0.5G", 500_000_000), ("3B", 3_000_000_000)],
)  # fmt: skip
def test_whole_numbers(typed: object, number: int) -> None:
    assert SelectionSettings.of(tokens=typed).tokens == number
    assert ArmsSettings(rows=typed).rows == number
    assert ScoreSettings(data=["demo"], head_feature_rows=typed).head_feature_rows == number


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fraction": "10"}, "--fraction: 10 is more than the whole: for 10 per cent write 10% or"),
        ({"fraction": 10}, "for 10 per cent write 10% or 0.1"),
        ({"fraction": "250"}, "a share is at most 1"),
        ({"fraction": "a tenth"}, "--fraction: 'a tenth' is no share: write 0.1 or 10%"),
        ({"fraction": "0%"}, "--fraction: Input should be greater than 0"),
        ({"fraction": "200%"}, "--fraction: Input should be less than or equal to 1"),
        ({"fraction": "nan"}, "--fraction: 'nan' is no share"),
        ({"tokens": "1.5"}, "--tokens: '1.5' is no whole number"),
        ({"tokens": "many"}, "--tokens: 'many' is no number: write 2000, 2k or 1.5M"),
        ({"tokens": "1,00"}, "--tokens: '1,00' is no number"),
        ({"count": "0"}, "--count: Input should be greater than or equal to 1"),
    ],
)
def test_what_was_meant_is_said(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(SelectionSettings, **values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("float32", "fp32"), ("bfloat16", "bf16"), ("torch.float16", "fp16"), ("bf16", "bf16")],
)
def test_number_formats_by_their_long_names(typed: str, kept: str) -> None:
    assert DetectSettings(model="m", probe=["p"], dtype=typed).dtype == kept
    assert ScoreSettings(data=["demo"], dtype=typed).dtype == kept


@pytest.mark.parametrize(("typed", "rule"), [("5%", "0.05"), ("100%", "1.0"), ("14", "14")])
def test_a_share_of_heads_in_per_cent_is_no_count(typed: str, rule: str) -> None:
    assert ScoreSettings(data=["demo"], heads=typed).heads == rule


@pytest.mark.parametrize("typed", ["1e99999999999999999999", "1e30", "1e999999"])
def test_what_no_data_has_is_a_line(typed: str) -> None:
    with pytest.raises(UserError, match="beyond any number of rows"):
        checked(ArmsSettings, rows=typed)
