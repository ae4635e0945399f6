"""What a run can afford is run, and what is left out is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.api import validate
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, affordable
from circuitseer_core.experiments.affordable import run_affordable
from circuitseer_core.experiments.experiment import CheckedOptions, Experiment, ExperimentResult
from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import add_scores


class Asked(CheckedOptions):
    """Options of the experiments below."""

    scores: str = "default"
    rescore: int = 0


def _fake(monkeypatch: pytest.MonkeyPatch, times: dict[str, float | None]) -> None:
    """Experiments that take so long by their own account; ``broken`` fails."""

    def run(self: Experiment, run: Run, **options: Any) -> ExperimentResult:
        if self.name == "broken":
            raise UserError("run detect first")
        name = self.result_name(run, **options)
        result = ExperimentResult(name, "Why?", "So.", {}, pd.DataFrame({"a": [1]}))
        result.save(run, options)
        return result

    monkeypatch.setattr(Experiment, "run_held", run)
    monkeypatch.setattr(
        Experiment,
        "result_name",
        lambda self, run, **options: "-".join([self.name, *options.values()]),
    )
    monkeypatch.setattr(Experiment, "options_class", lambda self: Asked)
    monkeypatch.setattr(Experiment, "takes", lambda self, option: self.name != "bare")
    monkeypatch.setattr(
        Experiment, "estimated_seconds", lambda self, run, **options: times[self.name]
    )
    known = {
        name: Experiment(name, "about", "x", needs_other=name == "pair", needs_model=name == "big")
        for name in times
    }
    monkeypatch.setattr(affordable, "EXPERIMENTS", known)


TIMES = {"long": 500.0, "short": 5.0, "pair": 1.0, "broken": 2.0, "unknown": None, "big": 90.0}


def test_what_fits_is_run_and_the_rest_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, TIMES)
    log: list[str] = []
    done, left = run_affordable(run, say=log.append, seconds=200)
    assert [result.name for result in done] == ["short", "big"]
    why = {one.name: one.why for one in left}
    assert why["long"].startswith("about 500 s, and 105 s of 200 are left")
    assert "compares runs" in why["pair"]
    assert why["broken"] == "run detect first"
    assert "not known before it was run once" in why["unknown"]
    assert "left out broken: run detect first" in log


def test_what_is_kept_is_not_run_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, {"short": 5.0})
    add_scores(run, {"variance": np.arange(3.0)}, finished="2020-01-01T00:00:00+00:00")
    assert [result.name for result in run_affordable(run)[0]] == ["short"]
    done, left = run_affordable(run)
    assert not done and "kept and up to date" in left[0].why
    assert len(run_affordable(run, again=True)[0]) == 1
    add_scores(run, {"variance": np.arange(3.0)}, finished="2999-01-01T00:00:00+00:00")
    assert len(run_affordable(run)[0]) == 1


def test_a_result_of_own_options_stays_until_it_is_asked_for_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake(monkeypatch, {"short": 5.0})
    run_affordable(run)
    (path,) = (Path(run.path) / "experiments").glob("*.json")
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"options": {"rescore": 300}}))
    kept = path.read_bytes()
    done, left = run_affordable(run)
    assert not done and "kept, with options of its own" in left[0].why
    assert path.read_bytes() == kept
    add_scores(run, {"variance": np.arange(3.0)}, finished="2999-01-01T00:00:00+00:00")
    older = run_affordable(run)[1][0].why
    assert "own, and older than what it was made of (again=true" in older
    assert path.read_bytes() == kept
    assert len(run_affordable(run, again=True)[0]) == 1 and path.read_bytes() != kept


def test_defaults_that_are_spelt_out_are_no_options_of_ones_own(run: Run) -> None:
    same = affordable._same_options
    probe = EXPERIMENTS["probe"]
    assert same(probe, {"scores": "default", "rescore": "0"}, {})
    assert not same(probe, {"rescore": "60"}, {})
    assert not same(probe, {"of another version": "1"}, {})


def test_models_can_be_left_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, {"big": 5.0})
    assert run_affordable(run, models=False)[1][0].why == "it loads the model"


def test_all_is_asked_of_one_scoring(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, {"short": 5.0, "bare": 1.0})
    add_scores(run, {"variance": np.arange(3.0)}, name="pool")
    done, _ = run_affordable(run)  # the first there is
    assert [result.name for result in done] == ["bare", "short-pool"]
    assert not run_affordable(run, scores="pool")[0]
    with pytest.raises(UserError, match="no scores named 'other'"):
        run_affordable(run, scores="other")


def test_another_run_is_not_asked_for_where_a_second_scoring_is_there(run: Run) -> None:
    transfer, probes = EXPERIMENTS["transfer"], EXPERIMENTS["probes"]
    add_scores(run, {"variance": np.arange(3.0)})
    assert transfer.lacks_other(run) and probes.lacks_other(run)
    add_scores(run, {"variance": np.arange(3.0)}, name="response")
    assert not transfer.lacks_other(run) and probes.lacks_other(run)


def test_a_library_is_told_what_was_left_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(monkeypatch, {"short": 5.0, "big": 5.0})
    results = validate(run, "all", models=False)
    assert isinstance(results, list) and [result.name for result in results] == ["short"]
    assert [one.why for one in results.left_out] == ["it loads the model"]
