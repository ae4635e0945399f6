"""validate ablation-method: ways that agree, ways that do not, and a tiny model's run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.data.prompts import text_hash
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, held_out
from circuitseer_core.experiments.ablation_method import compare, outcome, verdict
from circuitseer_core.experiments.head_maps import HeadMap
from circuitseer_core.runs.folder import Run
from tests.support.detected_run import detected_run


def planted(name: str, means: np.ndarray, seed: int, n: int = 12) -> HeadMap:
    """A map of ``n`` samples around ``means``."""
    delta = means + np.random.default_rng(seed).normal(0, 0.1, (n, len(means)))
    return HeadMap(name, [(0, h) for h in range(len(means))], delta, np.ones(n))


MEANS = np.random.default_rng(0).lognormal(-2, 1.5, 200)
OTHERS = np.random.default_rng(1).permutation(MEANS)


def numbers_and_verdict(*maps: HeadMap) -> tuple[dict, str]:
    numbers = compare(list(maps), 10, boots=60, seed=0)
    numbers |= {"samples": 12, "heads": 200, "all_heads": 200}
    return numbers, verdict(numbers)


def test_ways_that_agree_are_found() -> None:
    numbers, text = numbers_and_verdict(planted("uniform", MEANS, 1), planted("zero", 2 * MEANS, 2))
    zero = numbers["methods"]["zero"]
    assert zero["found"] and zero["overlap"] > 0.7 and zero["spearman_low"] > 0.3
    assert "uniform and of zero agree beyond chance" in text and "not shown" not in text
    assert outcome(numbers).state == "found"


def test_ways_that_do_not_are_not() -> None:
    numbers, text = numbers_and_verdict(planted("uniform", MEANS, 1), planted("zero", OTHERS, 2))
    assert not numbers["methods"]["zero"]["found"]
    assert "the heads that uniform finds is not shown" in text
    assert "; more than chance is not shown)" in text
    assert outcome(numbers).state != "found"


def test_one_of_two() -> None:
    numbers, text = numbers_and_verdict(
        planted("uniform", MEANS, 1), planted("mean", MEANS, 2), planted("zero", OTHERS, 3)
    )
    assert numbers["methods"]["mean"]["found"] and not numbers["methods"]["zero"]["found"]
    assert "of mean agree beyond chance; for zero that is not shown" in text
    assert "2 comparisons" in text
    assert outcome(numbers).state != "found"


class TestWithAModel:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        made = detected_run(tmp_path)
        rows = [{"question": f"What is {i} + {i}?", "answer": f"It is {2 * i}."} for i in range(6)]
        lines = "".join(json.dumps(each) + "\n" for each in rows)
        (tmp_path / "sums.jsonl").write_text(lines, encoding="utf-8")
        return made

    def test_a_tiny_epsilon_is_uniform(self, run: Run, tmp_path: Path) -> None:
        result = EXPERIMENTS["ablation-method"].run(
            run, data=f"{tmp_path}/sums.jsonl", methods="scaled:0.000001,zero,mean", share="0.25",
            boots="20", limit="4",
        )  # fmt: skip
        methods = result.numbers["methods"]
        tiny = methods["scaled:0.000001"]
        assert tiny["spearman"] == pytest.approx(1.0) and tiny["overlap"] == 1.0
        assert set(methods) == {"scaled:0.000001", "zero", "mean"}
        table = result.table
        assert len(table) == 4 * 8
        same = table[table["map"] == "scaled:0.000001"]
        np.testing.assert_allclose(same["importance"], same["uniform"], atol=1e-4)
        zero = table[table["map"] == "zero"]
        assert (zero["importance"] - zero["uniform"]).abs().max() > 1e-3

    def test_a_field_of_the_best(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        probe = frozenset({text_hash(f"What is {i} + {i}?") for i in range(3)})
        monkeypatch.setattr(held_out, "probe_prompts", lambda run: probe)
        result = EXPERIMENTS["ablation-method"].run(
            run, data=f"{tmp_path}/sums.jsonl", methods="zero", field="0.5", share="0.25",
            boots="20", limit="3",
        )  # fmt: skip
        assert result.numbers["heads"] == 4 and result.numbers["all_heads"] == 8
        assert result.numbers["left_out"] == 3 == result.numbers["samples"]

    @pytest.mark.parametrize("method", ["scaled", "scaled:x", "scaled:-1", "zero:1", "resample"])
    def test_unknown_ways(self, run: Run, method: str) -> None:
        with pytest.raises(UserError, match="is none of zero, mean, scaled:EPSILON"):
            EXPERIMENTS["ablation-method"].run(run, methods=method)

    def test_nothing_to_compare_with_uniform(self, run: Run) -> None:
        for methods in ("uniform", ""):
            with pytest.raises(UserError, match="name one to compare with uniform"):
                EXPERIMENTS["ablation-method"].run(run, methods=methods)
