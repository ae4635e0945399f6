"""Worse than random is said where a study found it, and unknown without one."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.files import write_parquet
from circuitseer_core.runs.experiment_records import ExperimentRecord
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.training_records import kind_of_draw, run_name
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.crafted_run import add_scores
from tests.support.damaged import damage
from tests.support.signature_tests import RNG, signature_of
from ui.overview.findings import signatures


def _drawn(run: Run) -> None:
    add_scores(run, {"variance": RNG(0).random(60), "n_tokens": np.arange(60)})
    select_run(run, SelectionSettings.of(fraction=0.2))


def _study(
    run: Run,
    difference: float,
    name: str = "training",
    finished: str = "2026",
    seeds: int = 3,
    scorer: str = "variance",
    p_holm: float = 0.01,
    reference: str = "uniform",
) -> None:
    folder = run.path / "experiments"
    folder.mkdir(exist_ok=True)
    row = {"arm": "soft", "measure": "loss", "source": "all", "whole": True, "seeds": seeds,
           "items": 50, "difference": difference, "low": difference - 0.01,
           "high": difference + 0.01, "p_holm": p_holm}  # fmt: skip
    table = pd.DataFrame([row, row | {"arm": "top-k", "difference": 9.0}])
    table.to_parquet(folder / f"{name}.parquet")
    ExperimentRecord(
        name=name,
        title="?",
        verdict=".",
        finished=finished,
        numbers={
            "reference": reference,
            "draw": kind_of_draw("default", scorer, 1.0),
            "run": run_name(run),
        },
    ).write(folder / f"{name}.json")


@pytest.mark.parametrize(
    ("difference", "severity"), [(0.05, "warn"), (-0.05, "good"), (0.002, "info")]
)
def test_the_interval_decides(run: Run, difference: float, severity: str) -> None:
    _drawn(run)
    _study(run, difference)
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and signature.severity == severity
    assert signature.number == difference
    assert "after uniform (95 % interval" in signature.text


@pytest.mark.parametrize("difference", [0.05, -0.05])
def test_what_does_not_survive_the_correction_is_not_said(run: Run, difference: float) -> None:
    _drawn(run)
    _study(run, difference, p_holm=0.2)
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and signature.severity == "info"
    assert "p = 0.20 after Holm's correction" in signature.text


def test_a_study_of_another_scorer_is_none_of_this_draw(run: Run) -> None:
    _drawn(run)
    _study(run, 0.05, scorer="focus")
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and "unknown" in signature.title


def test_one_seed_tells_nothing_of_the_draw(run: Run) -> None:
    _drawn(run)
    _study(run, 0.05, seeds=1)
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and signature.severity == "info"
    assert "One seed" in signature.text


def test_without_a_study_it_is_unknown(run: Run) -> None:
    assert signature_of(run, "worse-than-random") is None  # nothing is drawn yet
    _drawn(run)
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and signature.severity == "info"
    assert "unknown" in signature.title


def test_the_newest_study_counts_and_broken_ones_do_not(run: Run) -> None:
    _drawn(run)
    _study(run, 0.05, "training-old", "2025")
    _study(run, -0.05, "training", "2026")
    (run.path / "experiments" / "training-bad.json").write_text("{", encoding="utf-8")
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and signature.number == -0.05


def test_a_study_against_another_arm_tells_nothing_of_random_rows(run: Run) -> None:
    _drawn(run)
    _study(run, 0.05, reference="top-k")
    signature = signature_of(run, "worse-than-random")
    assert signature is not None and "unknown" in signature.title


def test_the_overview_takes_a_study_of_after_it_was_opened(run: Run) -> None:
    _drawn(run)
    before = {s.title for s in signatures(run, None)[1]}
    _study(run, 0.05)
    for file in (run.path / "experiments").iterdir():
        os.utime(file, (1, 1))  # copied here with its time
    after = {s.title for s in signatures(run, None)[1]}
    assert after - before == {"Training on such a draw was worse than on random rows"}


def test_a_study_whose_table_is_damaged_says_nothing(run: Run) -> None:
    _drawn(run)
    _study(run, 0.05)
    path = run.path / "experiments" / "training.parquet"
    write_parquet(path, pd.read_parquet(path))
    seen = [signature_of(run, "worse-than-random")]
    damage(run.path, "experiments/training.parquet", "flipped")
    seen.append(signature_of(run, "worse-than-random"))
    assert [signature and signature.severity for signature in seen] == ["warn", "info"]
