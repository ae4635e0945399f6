"""validate sinks, against one eager forward pass a text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.sinks import outcome, summary
from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import add_scores
from tests.support.detected_run import detected_run
from tests.support.records import edit_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    made = detected_run(tmp_path)
    prompts = [f"Tom has {i} apples and buys {2 * i} more" for i in range(9)]
    columns = {"variance": np.linspace(1, 2, 9), "prompt": prompts, "response": [None] * 9}
    columns["original"] = [json.dumps({"question": prompt}) for prompt in prompts]
    add_scores(
        made, columns, heads=[[0, 0], [1, 1]], max_length=64, model=made.record.model.to_json()
    )
    return made


def test_shares_are_those_of_eager_attention(run: Run) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = EXPERIMENTS["sinks"].run(run, rows=9)
    assert result.numbers["rows"] == 9 and result.numbers["heads"] == 2
    path = run.record.model.id
    model = AutoModelForCausalLM.from_pretrained(path, attn_implementation="eager").eval()
    tokenizer = AutoTokenizer.from_pretrained(path)
    shares = []
    for prompt in run.scores(columns=["prompt"])["prompt"]:
        with torch.inference_mode():
            ids = tokenizer(prompt, return_tensors="pt").input_ids
            attention = model(input_ids=ids, output_attentions=True).attentions
        shares.append([layer[0, :, :, 0].mean(-1).numpy() for layer in attention])
    want = np.mean(shares, axis=0)  # (layers, heads)
    for row in result.table.itertuples():
        assert row.sink_share == pytest.approx(want[row.layer, row.head], abs=1e-5)
    assert result.table["reasoning"].sum() == 2
    best = result.table.iloc[0]
    assert f"({best['layer']},{best['head']}), leaves" in result.verdict
    own = [layer * 4 + head for layer, head in ((0, 0), (1, 1))]
    each = np.array(shares).reshape(9, -1)
    gap = each[:, own].mean(1) - np.delete(each, own, axis=1).mean(1)
    half = stats.t.ppf(0.975, 8) * gap.std(ddof=1) / 3
    wanted = (gap.mean(), gap.mean() - half, gap.mean() + half)
    assert result.numbers["gap"] == pytest.approx(wanted, abs=1e-5)


def test_summary_by_hand() -> None:
    table = pd.DataFrame(
        {
            "layer": [0, 0, 1, 1], "head": [0, 1, 0, 1],
            "sink_share": [0.9, 0.4, 0.6, 0.2], "reasoning": [True, True, False, False],
            "importance": [4.0, 3.0, 2.0, 1.0],
        }
    )  # fmt: skip
    numbers = summary(table)
    assert numbers["reasoning"] == pytest.approx(0.65) and numbers["others"] == pytest.approx(0.4)
    assert numbers["mostly_sink"] == 1 and numbers["others_mostly_sink"] == 0.5
    assert (numbers["strongest"], numbers["strongest_share"]) == ([0, 0], 0.9)
    assert numbers["spearman"] == pytest.approx(0.8)


def test_importance_that_was_not_measured_stays_out(run: Run) -> None:
    heads = run.heads()
    heads.iloc[1:].to_parquet(run.heads_path)
    edit_run(run, name="partly")
    result = EXPERIMENTS["sinks"].run(run, rows=4)
    assert result.table["importance"].isna().sum() == 1
    assert np.isfinite(result.numbers["spearman"])


def _heads(slope: float) -> pd.DataFrame:
    """800 heads whose importance falls by ``slope`` with the attention that they park."""
    rng = np.random.default_rng(0)
    share = rng.random(800)
    importance = -slope * share + rng.normal(0, 0.3, 800)
    order = np.argsort(-importance)
    table = pd.DataFrame({"layer": np.arange(800) // 8, "head": np.arange(800) % 8,
                          "sink_share": share, "importance": importance})  # fmt: skip
    return table.assign(reasoning=np.isin(np.arange(800), order[:40])).iloc[order]


def test_importance_that_goes_with_the_sink_is_found_and_that_which_does_not_is_not() -> None:
    planted, absent = (outcome(summary(_heads(slope))) for slope in (1.0, 0.0))
    assert planted.state == "found" and planted.high is not None and planted.high < -0.3
    assert absent.state == "no evidence"
