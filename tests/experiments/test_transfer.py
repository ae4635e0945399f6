"""Agreement of two models is found where it is planted, and not where both only follow length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.experiments.experiment import ExperimentResult
from circuitseer_core.figures.style import LIGHT
from circuitseer_core.report.experiment_figures import drawn
from circuitseer_core.runs.folder import Run
from circuitseer_core.wording import percent
from tests.support.crafted_run import add_scores, bare_run
from tests.support.experiment_tests import RNG, spearman
from tests.support.records import edit_run

N = 900


def _compared(
    tmp_path: Path, common: float, *, shift: float = 0.0, **options: float | str
) -> ExperimentResult:
    """Two runs whose scores follow length, and have ``common`` of one latent quality."""
    rng = RNG(0)
    length, latent = rng.integers(20, 200, N), rng.normal(size=N)
    runs = []
    for name, size in (("small", 1e6), ("large", 1e9)):
        run = bare_run(tmp_path / name)
        edit_run(run, model=run.model.to_json() | {"parameters": size, "weights_hash": name})
        score = length / 50 + common * latent + rng.normal(0, 0.5, N)
        source = np.where(np.arange(N) % 3 == 0, "aqua", "gsm")
        add_scores(run, {"variance": np.exp(score) + shift, "n_tokens": length, "source": source})
        runs.append(run)
    return EXPERIMENTS["transfer"].run(
        runs[0], other=str(runs[1].path), bootstraps=60, seeds=6, **options
    )


class TestVerdict:
    def test_a_common_quality_is_found(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.7)
        assert result.outcome is not None and result.outcome.state == "found"
        numbers = result.numbers
        assert numbers["beyond_floor"][1] > 0
        corrected = numbers["beyond_floor"][0] / (1 - numbers["floor"])
        assert numbers["corrected"] == pytest.approx(corrected)
        assert f"of what that leaves {percent(corrected, 1)}" in result.verdict
        assert "the smaller model (small/default" in result.verdict
        by_source = result.table[result.table["kind"] == "source"]
        assert sorted(by_source["rows_of"]) == ["aqua", "gsm"]
        assert all(drawn(plot, result.table, LIGHT) is not None for plot in result.plots)
        assert len(result.plots) == 2
        low, high = numbers["overlap_top_interval"]
        assert numbers["chance"] < low < numbers["overlap_top"] < high < 1
        share, ends = percent(numbers["overlap_top"]), f"{percent(low)} to {percent(high)}"
        assert f"finds {share} (95 % interval {ends}); whether" in result.verdict

    def test_length_alone_is_no_evidence(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.0)
        assert result.numbers["spearman"][0] > 0.5
        assert result.outcome is not None and result.outcome.state == "no evidence"
        assert "no evidence that they agree beyond what length" in result.verdict

    def test_numbers_are_those_of_the_matched_rows(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.7, temperature=0)
        one, other = (Run.open(tmp_path / name).scores()["variance"] for name in ("small", "large"))
        assert result.numbers["spearman"][0] == pytest.approx(spearman(one, other))
        tops = [set(values.nlargest(90).index) for values in (one, other)]
        assert result.numbers["overlap_top"] == pytest.approx(len(tops[0] & tops[1]) / 90)

    def test_overlap_by_source_is_that_of_its_rows(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.7)
        table = result.table.set_index("rows_of")
        assert list(table.index[table["overlap_top"].notna()]) == ["all rows", "gsm", "aqua"]
        one, other = (Run.open(tmp_path / name).scores() for name in ("small", "large"))
        for source, k in (("gsm", 60), ("aqua", 30)):
            tops = [set(of[of["source"] == source]["variance"].nlargest(k).index)
                    for of in (one, other)]  # fmt: skip
            row = table.loc[source]
            assert row["drawn"] == k
            assert row["overlap_top"] == pytest.approx(len(tops[0] & tops[1]) / k)
            assert row["top_low"] < row["overlap_top"] < row["top_high"]
            assert row["overlap_soft"] - row["floor"] == pytest.approx(row["beyond_floor"])
            assert row["beyond_floor"] > 0
        whole = table.loc["all rows"]
        assert [whole["top_low"], whole["top_high"]] == result.numbers["overlap_top_interval"]
        assert whole["overlap_soft"] == result.numbers["overlap_soft"][0]

    def test_scores_below_zero_have_no_soft_draws(self, tmp_path: Path) -> None:
        result = _compared(tmp_path, 0.7, shift=-100.0)
        assert result.table["overlap_soft"].isna().all() and result.table["floor"].isna().all()
        assert result.numbers["overlap_soft"] is None
        assert result.numbers["overlap_top_interval"][0] > result.numbers["chance"]


def test_two_scorings_of_one_run(run: Run) -> None:
    rng = RNG(1)
    with pytest.raises(UserError, match="nothing to compare with: give other=RUN"):
        add_scores(run, {"variance": rng.random(50)})
        EXPERIMENTS["transfer"].run(run)
    add_scores(run, {"variance": rng.random(50)}, name="response")
    result = EXPERIMENTS["transfer"].run(run, bootstraps=50, seeds=2)
    assert "Both scorings are of one model" in result.verdict
