"""Studies that are judged without their model: names, what has to agree, the full pool's steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments.training import Options
from circuitseer_core.experiments.training import run as judge
from circuitseer_core.files import write_parquet
from circuitseer_core.runs.folder import Run
from circuitseer_core.training.plan import StudyPlan, StudyRecord
from circuitseer_core.training.study import loaded_dtype
from tests.support.crafted_run import bare_run
from tests.support.damaged import damage
from tests.support.records import edit_run
from tests.support.run_factory import MODEL
from tests.support.study_arms import write_arms


@pytest.fixture
def study(tmp_path: Path) -> tuple[Run, dict[str, Any]]:
    """A finished study ``training-a`` of 2 seeds, as study.json of before had it."""
    run = bare_run(tmp_path / "run")
    edit_run(run, model=MODEL)
    rows = [("1 + 1", "2")]
    labels = [f"{kind}-s{seed}" for kind in ("soft", "uniform") for seed in (0, 1)]
    write_arms(tmp_path / "arms", dict.fromkeys([*labels, "top-k", "full"], rows), full=6000)
    options = {"arms": str(tmp_path / "arms"), "heldout": "none.jsonl", "seeds": 2,
               "kinds": "soft,uniform", "tokens_a_step": 100, "only_results": True}  # fmt: skip
    plan = Options.of(**options, study="training-a").plan(run)
    plan.folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for label in ["untrained", *(trial.label for trial in plan.plan)]:
        loss = 1 + np.arange(8) / 8 + rng.normal(0, 0.02, 8) - 0.3 * label.startswith("soft")
        table = pd.DataFrame({"id": list("abcdefgh"), "source": "s", "loss": loss})
        table.assign(correct=np.nan).to_parquet(plan.path_of(label))
    took = {"uniform-t0": 10.0, "uniform-t1": 10.0, "soft-t0": 20.0, "soft-t1": 20.0}
    StudyRecord(
        settings=plan.options, steps=6, arms=plan.arm_hashes, learning_rate=1e-4,
        seconds=took | {"top-k-t0": 999.0}, tokens=dict.fromkeys(took, 580),
    ).write(plan.folder / "study.json")  # fmt: skip
    return run, options


def test_a_study_is_judged_under_another_name_at_its_own_models_cost(
    study: tuple[Run, dict[str, Any]],
) -> None:
    run, options = study
    result = judge(run, **options, name="training-b", study="training-a")
    assert result.name == "training-b" and result.outcome is not None
    assert result.outcome.state == "found"
    assert result.numbers["seconds"] == 60.0 and "took 1 min" in result.verdict
    assert "A model saw 580 tokens, 97 % of its arm's." in result.verdict
    with pytest.raises(UserError, match=r"training-b holds no study yet: .* study=NAME"):
        judge(run, **options, name="training-b")


@pytest.mark.parametrize(
    "change", [{"tokens_a_step": 64}, {"per_source": 7}, {"lora_rank": 4}, {"heldout": "b.jsonl"}]
)
def test_results_are_not_told_as_of_other_settings(
    study: tuple[Run, dict[str, Any]], change: dict[str, Any]
) -> None:
    run, options = study
    with pytest.raises(UserError, match=f"holds a study with {next(iter(change))} "):
        judge(run, **options | change, name="training-a")


def test_another_reference_may_be_asked_of_finished_models(
    study: tuple[Run, dict[str, Any]], tmp_path: Path
) -> None:
    run, options = study
    result = judge(run, **options, name="training-b", study="training-a", reference="soft")
    assert result.numbers["reference"] == "soft" and result.outcome is None
    assert result.numbers["rate_chosen_on"] == "uniform"
    write_arms(tmp_path / "other", {"uniform-s0": [], "uniform-s1": []})
    other = {"arms": str(tmp_path / "other"), "kinds": "uniform"}
    with pytest.raises(UserError, match="a study of other arms"):
        judge(run, **options | other, name="training-a")


def test_what_would_matter_decides_what_silence_means(study: tuple[Run, dict[str, Any]]) -> None:
    run, options = study
    few = judge(run, **options, name="training-a").table.set_index("arm").loc["soft"]
    many = judge(run, **options, name="training-a", see=0.1).table.set_index("arm").loc["soft"]
    assert many["seeds_needed"].max() < few["seeds_needed"].fillna(1e9).min()
    assert (few["seen"] == many["seen"]).all()


def test_seeds_are_paired_up_to_the_first_that_is_missing(
    study: tuple[Run, dict[str, Any]],
) -> None:
    run, options = study
    plan = Options.of(**options, study="training-a").plan(run)
    plan.path_of("soft-t0").unlink()
    assert {kind: len(tables) for kind, tables in plan.results().items()} == {
        "untrained": 1, "uniform": 2,
    }  # fmt: skip


def test_the_full_pool_has_the_steps_of_one_pass(study: tuple[Run, dict[str, Any]]) -> None:
    run, options = study
    asked = Options.of(**options | {"kinds": "uniform,full", "reference": "full"}, steps=3)
    plan = StudyPlan(run.path / "new", asked.settings(), run.model)
    record = StudyRecord(settings=plan.options, steps=plan.steps, full_steps=plan.full_steps)
    assert (record.steps_of("uniform"), record.steps_of("full")) == (3, 60)
    assert StudyRecord(settings=plan.options, steps=3).steps_of("full") == 3, "of before"
    assert plan.models_left() == 2 + 2 * 60 / 3 + 3 * plan.settings.lr_share


@pytest.mark.parametrize(
    ("rank", "device", "dtype"), [(0, "cuda", "fp32"), (8, "cuda", "bf16"), (8, "cpu", "fp32")]
)
def test_weights_that_are_not_trained_may_be_short(rank: int, device: str, dtype: str) -> None:
    import torch

    assert loaded_dtype(rank, torch.device(device)) == dtype


def test_a_damaged_table_is_no_finished_model(study: tuple[Run, dict[str, Any]]) -> None:
    run, options = study
    plan = Options.of(**options, study="training-a").plan(run)
    write_parquet(plan.path_of("soft-t1"), pd.DataFrame({"loss": [1.0] * 99}))
    damage(plan.folder, "soft-t1.parquet", "flipped")
    assert not plan.has("soft-t1") and plan.has("soft-t0") and plan.models_left() == 1
    assert len(plan.results()["soft"]) == 1
