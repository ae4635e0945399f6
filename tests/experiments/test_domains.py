"""validate domains: the same heads, different heads, and a tiny model's run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.data.prompts import text_hash
from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, held_out
from circuitseer_core.experiments.domains import compare, outcome, specificities, verdict
from circuitseer_core.experiments.head_maps import HeadMap
from circuitseer_core.runs.folder import Run
from tests.experiments.test_ablation_method import MEANS, OTHERS, planted
from tests.support.detected_run import detected_run


def numbers_and_verdict(*maps: HeadMap) -> tuple[dict, str]:
    numbers = compare(list(maps), 10, boots=60, seed=0)
    numbers["all_heads"] = 200
    return numbers, verdict(numbers)


def test_domains_of_the_same_heads() -> None:
    numbers, text = numbers_and_verdict(planted("math", MEANS, 1), planted("code", MEANS, 2))
    [pair] = numbers["pairs"]
    assert pair["above_chance"] and not pair["differ"]
    assert "shared beyond chance by math–code" in text
    assert "that any two need different heads is not shown" in text
    assert outcome(numbers).state == "found"


def test_domains_of_different_heads() -> None:
    numbers, text = numbers_and_verdict(planted("math", MEANS, 1), planted("code", OTHERS, 2))
    [pair] = numbers["pairs"]
    assert pair["differ"] and not pair["above_chance"]
    assert "that any two domains share top heads beyond chance is not shown" in text
    assert "different heads are needed by math–code" in text
    assert outcome(numbers).state != "found"


def test_noise_is_neither() -> None:
    nothing = np.zeros(200)
    numbers, text = numbers_and_verdict(planted("math", nothing, 1), planted("code", nothing, 2))
    [pair] = numbers["pairs"]
    assert not pair["above_chance"] and not pair["differ"]
    assert "that any two domains share top heads beyond chance is not shown" in text
    assert outcome(numbers).state != "found"


def test_specificity_by_hand() -> None:
    maps = [
        HeadMap("a", [(0, 0), (0, 1)], np.array([[2.0, 1.0]]), np.array([2.0])),
        HeadMap("b", [(0, 0), (0, 1)], np.array([[1.0, 0.0]]), np.array([1.0])),
        HeadMap("c", [(0, 0), (0, 1)], np.array([[0.0, 4.0]]), np.array([4.0])),
    ]
    a, _, c = specificities(maps)  # relative: (1, .5), (1, 0), (0, 1)
    assert a.tolist() == [0.5, 0.0] and c.tolist() == [-1.0, 0.75]


def test_contrast_takes_out_what_all_need() -> None:
    general = np.where(np.arange(200) < 10, 5.0, 0.0)
    special = {name: np.zeros(200) for name in ("math", "code")}
    special["math"][20:30], special["code"][40:50] = 2.0, 2.0
    numbers, _ = numbers_and_verdict(*(planted(name, general + own, i) for i, (name, own) in
                      enumerate(special.items())))  # fmt: skip
    [pair] = numbers["pairs"]
    assert pair["overlap"] == 1.0 and pair["overlap_by_specificity"] == 0.0
    assert numbers["domains"]["math"]["stay_by_specificity"] == 0.0


class TestWithAModel:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        made = detected_run(tmp_path)
        for name in ("sums", "talk"):
            rows = [{"question": f"{name} {i}?", "answer": f"It is {3 * i}."} for i in range(6)]
            lines = "".join(json.dumps(each) + "\n" for each in rows)
            (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        return made

    def test_it_runs(self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        probe = frozenset({text_hash("talk 2?")})
        monkeypatch.setattr(held_out, "probe_prompts", lambda run: probe)
        data = f"math={tmp_path}/sums.jsonl,talk={tmp_path}/talk.jsonl"
        result = EXPERIMENTS["domains"].run(run, data=data, limit="4", share="0.25", boots="20")
        assert set(result.numbers["domains"]) == {"math", "talk"}
        assert result.numbers["heads"] == 8 and result.table["pair"].tolist() == ["math – talk"]
        assert "math (4), talk (4)" in result.verdict
        assert "1 sample of the data was left out" in result.verdict

    def test_too_little(self, run: Run, tmp_path: Path) -> None:
        one = f"{tmp_path}/sums.jsonl"
        with pytest.raises(UserError, match="at least two domains"):
            EXPERIMENTS["domains"].run(run, data=one)
        with pytest.raises(UserError, match="need different names"):
            EXPERIMENTS["domains"].run(run, data=f"{one},{one}")
        short = tmp_path / "short.jsonl"
        short.write_text('{"question": "a b c?", "answer": "d"}\n', encoding="utf-8")
        with pytest.raises(UserError, match="only 1 sample can serve"):
            EXPERIMENTS["domains"].run(run, data=f"{one},{short}")
