"""The page of what scores say, from a scoring whose numbers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.score_meaning import NAME, STEPS, page
from circuitseer_core.experiments import length
from tests.support.crafted_run import add_scores, bare_run
from tests.support.experiment_tests import RNG


def test_every_mean_over_draws_stands_with_its_interval(tmp_path: Path) -> None:
    run, rng = bare_run(tmp_path / "run"), RNG(0)
    tokens, steps = rng.integers(10, 90, 90), rng.integers(0, 6, 90)
    columns = {
        "variance": tokens + rng.normal(0, 9, 90), "n_tokens": tokens,
        "source": ["gsm8k"] * 50 + ["svamp"] * 40, "response": ["<<1>>" * int(k) for k in steps],
        "original": ["{}"] * 90,
    }  # fmt: skip
    for draw in range(20):
        columns[f"control_variance_{draw}"] = tokens + rng.normal(0, 9 + draw, 90)
    add_scores(run, columns, name=NAME)
    table = length.run(run, scores=NAME, count=STEPS).table
    text = page(table, run.scoring(NAME), run.scores(NAME), ["gsm8k=a.jsonl"], "gsm8k")
    assert "- Model: tiny/random, float32; 1 heads: 0.0." in text
    assert "mean over 20 draws" in text and "- Data: 90 prompts: gsm8k 50, svamp 40." in text
    row = table[table["source"] == "all"].iloc[0]
    for name in ("control_length", "control"):
        low, high = row[f"{name}_low"], row[f"{name}_high"]
        assert low < row[name] < high
        assert f"{row[name]:+.2f} ({low:+.2f} to {high:+.2f})" in text
    assert np.isfinite(row["control_reference_at_length"]) and "## Worked steps (gsm8k)" in text
