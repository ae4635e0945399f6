"""Comparison arms: one budget, each what its name says, each verified, trainers' settings alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy.stats import ks_2samp

from circuitseer_core.arms.build import build_arms, summary
from circuitseer_core.arms.record import ArmRecord, ArmsOptions, ArmsRecord, read_arms
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.arms.trainers import schedule
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.runs.columns import control_column
from circuitseer_core.runs.commands import checked
from circuitseer_core.runs.folder import Run
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.run_factory import make_rows, make_run, score_frame


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """All arms of a run whose score is driven by length."""
    home = tmp_path_factory.mktemp("arms")
    frame = score_frame(make_rows(800))
    rng = np.random.default_rng(3)
    length = frame["n_tokens"].to_numpy(float)
    frame["variance"] = length**2 * rng.lognormal(0, 0.2, len(frame))
    for draw in range(3):
        frame[control_column("variance", draw)] = length**2 * rng.lognormal(0, 0.2, len(frame))
    frame["ifd"], frame["perplexity"] = rng.random(800), rng.lognormal(1, 0.5, 800)
    frame["head_influence"] = rng.lognormal(0.1, 0.1, 800)
    run = make_run(home / "run", frame=frame)
    select_run(run, SelectionSettings.of(name="mine", fraction=0.1))
    build_arms(run, home / "out", ArmsSettings(seeds=2), command="typed", show=False)
    return run, home / "out"


def test_every_arm_keeps_the_budget_and_verifies(built: tuple[Run, Path]) -> None:
    _, out = built
    record = read_arms(out)
    labels = {arm.label for arm in record.arms}
    assert labels == {
        *(f"{kind}-s{s}" for kind in ("soft", "uniform", "length-matched", "random-heads")
          for s in (0, 1)),
        "top-k", "bottom-k", "longest", "ifd", "perplexity", "head-influence", "full",
    }  # fmt: skip
    budget = record.budget["tokens"]
    assert budget == round(record.pool_tokens / 10)
    for arm in record.arms:
        lines = (out / arm.file).read_text().splitlines()
        assert len(lines) == arm.rows and set(json.loads(lines[0])) >= {"messages"}
        assert verify(out / arm.file).ok
        if arm.kind == "full":
            assert arm.tokens == record.pool_tokens and arm.rows == record.pool_rows
        else:
            assert abs(arm.tokens - budget) < 180, arm.label  # one sample
    tokens = {arm.label: arm.tokens for arm in record.arms}
    for seed in (0, 1):
        assert abs(tokens[f"length-matched-s{seed}"] / tokens[f"soft-s{seed}"] - 1) < 0.01


def test_arms_are_what_their_names_say(built: tuple[Run, Path]) -> None:
    run, out = built
    by = {arm.label: arm for arm in read_arms(out).arms}
    ids = {label: run.selection_ids(arm.selection) for label, arm in by.items()}
    scores = run.scores("default").set_index("id")
    assert by["bottom-k"].mean_score < by["uniform-s0"].mean_score < by["soft-s0"].mean_score
    assert by["soft-s0"].mean_score < by["top-k"].mean_score
    assert by["longest"].mean_tokens > by["top-k"].mean_tokens * 0.9
    matched, soft = ids["length-matched-s1"]["tokens"], ids["soft-s1"]["tokens"]
    assert ks_2samp(matched, soft).statistic < 0.05
    assert ks_2samp(ids["uniform-s1"]["tokens"], soft).statistic > 0.2
    for label, column in (("ifd", "ifd"), ("head-influence", "head_influence")):
        lowest_in = scores.loc[ids[label]["id"], column].min()
        highest_out = scores.drop(ids[label]["id"])[column].max()
        assert lowest_in > highest_out, label
    assert by["random-heads-s0"].shared_with_soft > by["random-heads-s0"].shared_floor


def test_the_comparison_does_not_push_a_persons_selection_aside(built: tuple[Run, Path]) -> None:
    run, _ = built
    assert run.selections()[0] == "mine"


def test_trainers_get_the_same_tokens_and_other_data(built: tuple[Run, Path]) -> None:
    _, out = built
    record = read_arms(out)
    entries = json.loads((out / "llama-factory" / "dataset_info.json").read_text())
    for trainer in ("trl", "axolotl", "llama-factory"):
        files = sorted((out / trainer).glob("*.yaml"))
        assert {file.stem for file in files} == {arm.label for arm in record.arms}
        settings = [yaml.safe_load(file.read_text()) for file in files]
        of_arm = {"datasets", "dataset", "seed", "output_dir", *SCHEDULE}
        rest = [{k: v for k, v in one.items() if k not in of_arm} for one in settings]
        by = {file.stem: one for file, one in zip(files, settings, strict=True)}
        for arm in record.arms:
            rows, steps = _rows_a_step(by[arm.label]), by[arm.label]["max_steps"]
            budget = arm.tokens if arm.kind == "full" else record.budget["tokens"]
            seen = steps * rows * arm.mean_tokens
            assert abs(seen - budget) <= rows * arm.mean_tokens / 2 + 1, arm.label
            head = (out / trainer / f"{arm.label}.yaml").read_text().splitlines()[0]
            assert head.startswith(f"# About {round(seen):,} tokens ({steps:,} optimiser step")
        steps = {label: _rows_a_step(one) for label, one in by.items()}
        assert steps["longest"] < steps["uniform-s0"] < steps["bottom-k"]
        assert all(one == rest[0] for one in rest), "nothing else differs between arms"
    assert "counts the prompt's tokens too" in (out / "trl" / "soft-s0.yaml").read_text()
    for arm in record.arms:
        named = entries[arm.label]["file_name"]
        assert (out / "llama-factory" / named).resolve() == (out / arm.file).resolve()
    table = summary(record)
    shares = table.filter(like="share of ").sum(axis=1)
    assert np.allclose(shares, 1, atol=1e-3) and len(table) == len(record.arms)


def test_every_trainer_cuts_at_the_same_length(built: tuple[Run, Path]) -> None:
    _, out = built
    names = {"trl": "max_length", "axolotl": "sequence_len", "llama-factory": "cutoff_len"}
    texts = [
        (name, (out / trainer / f"{arm.label}.yaml").read_text())
        for trainer, name in names.items()
        for arm in read_arms(out).arms
    ]
    assert {yaml.safe_load(text)[name] for name, text in texts} == {4096}
    assert all("before any cut at 4096.\n" in text for _, text in texts)


SCHEDULE = ("max_steps", "warmup_steps", "per_device_train_batch_size", "micro_batch_size",
            "gradient_accumulation_steps")  # fmt: skip


def _rows_a_step(settings: dict[str, Any]) -> int:
    at_once = settings.get("per_device_train_batch_size") or settings["micro_batch_size"]
    return int(at_once * settings["gradient_accumulation_steps"])


@pytest.mark.parametrize(
    ("budget", "mean", "expected"),
    [
        ({"tokens": 6144}, 166.0, (16, 2)),
        ({"tokens": 6144}, 384.0, (7, 2)),
        ({"tokens": 6144}, 3000.0, (1, 2)),
        ({"count": 40}, 384.0, (16, 3)),
    ],
)
def test_an_arm_of_long_texts_takes_fewer_of_them_a_step(
    budget: dict[str, int], mean: float, expected: tuple[int, int]
) -> None:
    def arm(kind: str, mean: float) -> ArmRecord:
        rows = round(6144 / mean) if "tokens" in budget else 40
        return ArmRecord(
            label=kind, kind=kind, seed=0, file="f", meaning="", rows=rows,
            tokens=round(rows * mean), mean_tokens=mean, median_tokens=mean,
        )  # fmt: skip

    arms = [arm("uniform", 166.0), arm("top-k", mean)]
    record = ArmsRecord(
        run="r", settings=ArmsOptions(), budget=budget, pool_rows=9, pool_tokens=9, arms=arms
    )
    plan = schedule(record, arms[1])
    assert (plan.rows, plan.steps) == expected
    assert plan.rows % plan.at_once == 0 and plan.at_once <= 4


def test_bad_wishes_are_one_line(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    with pytest.raises(UserError, match="no columns for the arms random-heads, ifd"):
        build_arms(run, tmp_path / "o", ArmsSettings(arms=("ifd", "random-heads")), show=False)
    with pytest.raises(UserError, match="head-influence: score with --head-influence"):
        build_arms(run, tmp_path / "o", ArmsSettings(arms=("head-influence",)), show=False)
    with pytest.raises(UserError, match="no arm 'best'"):
        checked(ArmsSettings, arms=("best",))
    with pytest.raises(UserError, match="give one of share, tokens and rows"):
        checked(ArmsSettings, rows=3, tokens=9)
    with pytest.raises(UserError, match="holds no comparison arms"):
        read_arms(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="names a folder"):
        build_arms(run, tmp_path / "file", ArmsSettings(), show=False)


def test_a_budget_of_rows(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    wish = ArmsSettings(rows=20, seeds=1, arms=("length-matched",))
    record = build_arms(run, tmp_path / "out", wish, show=False)
    assert {arm.label: arm.rows for arm in record.arms} == {
        "soft-s0": 20, "uniform-s0": 20, "length-matched-s0": 20,
    }  # fmt: skip
    assert all(arm.tokens > 0 for arm in record.arms)
    by = {arm.kind: arm for arm in record.arms}
    assert by["length-matched"].shared_floor == by["uniform"].shared_with_soft
    head = (tmp_path / "out" / "trl" / "soft-s0.yaml").read_text().splitlines()[0]
    assert head.endswith("(2 optimiser steps of 16 rows), not the same for every arm: the budget "
                         "was of rows.")  # fmt: skip
