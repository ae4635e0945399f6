"""What an outcome says of an interval."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from circuitseer_core.runs.experiment_records import ExperimentRecord, Outcome


@pytest.mark.parametrize(
    ("interval", "state"),
    [
        ((0.3, 0.1, 0.5), "found"),
        ((0.02, -0.04, 0.08), "no evidence"),
        ((0.1, -0.3, 0.5), "inconclusive"),
        ((-0.4, -0.7, -0.1), "no evidence"),
        ((math.nan, math.nan, math.nan), "inconclusive"),
    ],
)
def test_an_outcome_follows_from_the_interval(
    interval: tuple[float, float, float], state: str
) -> None:
    assert Outcome.judge("a gap", *interval, relevant=0.1).state == state


def test_either_side_counts_where_asked() -> None:
    assert Outcome.judge("a gap", -0.4, -0.7, -0.1, relevant=0.1, side="either").state == "found"
    assert Outcome.judge("a share", 0.8, 0.7, 0.9, relevant=0.11, null=0.75).state == "no evidence"


def test_the_sentence_has_the_interval_and_the_correction() -> None:
    outcome = Outcome.judge(
        "the gap", 0.3, 0.1, 0.5, relevant=0.1, comparisons=3, correction="Bonferroni"
    )
    assert outcome.sentence() == (
        "Found: the gap +0.30 (95 % interval +0.10 to +0.50, Bonferroni over 3 comparisons)."
    )
    holm = outcome.model_copy(update={"correction": "Holm", "p": 0.02})
    assert holm.measured() == (
        "the gap +0.30 (95 % interval of this one comparison +0.10 to +0.50; p = 0.020 after "
        "Holm's correction for 3)."
    )
    before = holm.model_copy(update={"p": None}).measured()
    assert before.endswith("+0.10 to +0.50, before Holm's correction for 3).")
    assert "could not be measured" in Outcome(state="inconclusive", measure="it").sentence()
    assert "30 % (95 % interval 10 % to 50 %" in outcome.sentence(shares=True)


def test_an_interval_is_told_from_no_effect() -> None:
    small = Outcome.judge("loss,", -0.0021, -0.0080, -0.0004, relevant=0.01, side="either")
    assert small.measured() == "loss, −0.0021 (95 % interval −0.0080 to −0.0004)."
    near = Outcome.judge("a gap", 0.75, 0.747, 0.9, relevant=0.1, null=0.75)
    assert near.measured() == "a gap +0.750 (95 % interval +0.747 to +0.900)."


def test_a_result_of_an_older_version_is_read(tmp_path: Path) -> None:
    old = {"name": "length", "title": "How?", "verdict": "So.", "numbers": {"rows": 3}}
    record = ExperimentRecord.parse(old, tmp_path)
    assert record.outcome is None
    assert record.plots == []
