"""What of a run folder may become a command: a job's steps as data."""

from __future__ import annotations

from pathlib import Path

import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.runs import job_steps


@pytest.mark.parametrize(
    "words",
    [
        ["validate"],
        ["validate", "length", "--set"],
        ["validate", "../length"],
        ["validate", "length", "--runs", "/elsewhere"],
        ["validate", "length", "other"],
        ["validate", "length", "--set", "no-option"],
    ],
)
def test_a_jobs_experiment_takes_nothing_but_options(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one experiment and --set NAME=VALUE"):
        job_steps.rebuilt([words], tmp_path)
    fine = ["validate", "--run", "/other", "length", "--set", "column=level", "--set", "scores=a"]
    assert job_steps.rebuilt([fine], tmp_path)[0][:4] == [
        "validate",
        "--run",
        str(tmp_path),
        "length",
    ]


@pytest.mark.parametrize(
    "words", [[], ["--out"], ["--out", ".."], ["--out", "a", "--out=b"], ["--out", ".hidden"]]
)
def test_a_jobs_arms_need_one_plain_name(words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one --out NAME"):
        job_steps.rebuilt([["arms", *words]], tmp_path)


@pytest.mark.parametrize("out", ["set", "/etc/set", "../../set", "/other/run/arms/set"])
def test_a_jobs_arms_lie_in_their_own_run_wherever_that_lies(out: str, tmp_path: Path) -> None:
    here = job_steps.rebuilt([["arms", "--run", "/other", "--out", out, "--seeds", "2"]], tmp_path)
    place = ["--out", str(tmp_path / "arms" / "set")]
    assert here == [["arms", "--run", str(tmp_path), "--seeds", "2", *place]]
    moved = job_steps.rebuilt(here, tmp_path / "moved")
    assert moved[0][-1] == str(tmp_path / "moved" / "arms" / "set")
    seal = job_steps.sealed(here)
    assert job_steps.is_ours(moved, seal)
    assert not job_steps.is_ours([[*moved[0][:-1], str(tmp_path / "another")]], seal)
