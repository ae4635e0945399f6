"""validate sinks, against one eager forward pass a text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.sinks import summary
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
