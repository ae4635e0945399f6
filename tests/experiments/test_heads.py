"""validate heads: planted and absent effects through the same functions, and a tiny model's run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS, saved_results
from circuitseer_core.experiments.head_sets import HeadSet, sets_of
from circuitseer_core.experiments.head_words import OTHER, REASONING, outcome, verdict
from circuitseer_core.experiments.heads import summary
from circuitseer_core.runs.folder import Run
from tests.support.detected_run import detected_run

LAYERS = [9] * 30
BEST = {"0.05": [(18, h) for h in range(9)] + [(7, h) for h in range(5)]}
WHERE = [REASONING] * 30 + [OTHER] * 30


def losses(sets: list[HeadSet], own: dict[str, float], seed: int = 0) -> np.ndarray:
    """(S, 60) nats: random sets do about 0.3, the reasoning heads ``own`` more by group; everything
    ablated 5, less what is kept of it."""
    rng = np.random.default_rng(seed)
    clean = 1 + rng.random(60)
    rows = []
    for each in sets:
        rise = 0.0 if each.kind == "nothing" else 5.0 if each.kind == "all heads" else 0.0
        extra = np.zeros(60)
        if each.share:
            effect = rng.normal(0.3, 0.1)
            rise = 5 - effect if each.keep else effect
            if each.kind == "reasoning":
                sign = -1 if each.keep else 1
                extra = sign * np.array([own[name] for name in WHERE])
        rows.append(clean + rise + extra + rng.normal(0, 0.05, 60))
    return np.array(rows)


def numbers(own: dict[str, float], *, seed: int = 0) -> dict:
    sets = sets_of(BEST, LAYERS, 10, seed=0, keep=True)
    summarised = summary(losses(sets, own, seed), WHERE, sets)
    return summarised | {"answers": None, "heads": {"0.05": 14}}


def row(summarised: dict, what: str, group: str) -> dict:
    return next(r for r in summarised["rows"] if (r["what"], r["group"]) == (what, group))


def test_a_planted_reasoning_circuit_is_found() -> None:
    summarised = numbers({REASONING: 3.0, OTHER: 0.0})
    assert (
        row(summarised, "ablate", REASONING)["found"]
        and row(summarised, "keep", REASONING)["found"]
    )
    assert row(summarised, "specificity", REASONING)["found"]
    assert not row(summarised, "ablate", OTHER)["found"]
    assert row(summarised, "ablate", REASONING)["gap"] == pytest.approx(3.0, abs=0.3)
    assert summarised["comparisons"] == 2 * (
        2 + 2 + 1
    )  # kinds x (ablate, keep by group; specificity)
    text = verdict(summarised)
    own, shares = "more than random heads of their layers", "found for 5 %"
    assert f"needed for reasoning {own}: {shares} (of any layer: {shares})" in text
    assert f"needed for other text {own}: not shown (of any layer: not shown)" in text
    assert f"needed for reasoning more than for other text: {shares}" in text
    assert outcome(summarised).state == "found" and outcome(summarised).low > 2
    kept = row(summarised, "keep", REASONING)
    match = re.search(r"with only 14 \(5 %\) heads kept: (\S+), 10 .* layers (\S+) to (\S+) ", text)
    assert match is not None
    rise, low, high = map(float, match.groups())
    assert rise == pytest.approx(-kept["ours"], abs=0.01) and 1 < rise < 2.5
    assert 4 < low < high < 5, "random sets save little of the 5 nats"


def test_heads_that_any_text_needs_are_not_specific() -> None:
    summarised = numbers({REASONING: 3.0, OTHER: 3.0})
    assert row(summarised, "ablate", OTHER)["found"]
    assert not row(summarised, "specificity", REASONING)["found"]
    assert "needed for reasoning more than for other text: not shown" in verdict(summarised)


def test_heads_like_any_other_are_no_circuit() -> None:
    for seed in range(5):
        summarised = numbers({REASONING: 0.0, OTHER: 0.0}, seed=seed)
        assert not any(r["found"] for r in summarised["rows"])
        assert outcome(summarised).state in ("no evidence", "inconclusive")
        assert "found for" not in verdict(summarised)


def test_the_sentence_says_of_the_same_layers_what_the_outcome_says() -> None:
    summarised = numbers({REASONING: 3.0, OTHER: 0.0})
    for each in summarised["rows"]:
        each["found"] = each["found"] and each["against"] == "same layers"
    text = verdict(summarised)
    assert outcome(summarised).state == "found"
    assert "random heads of their layers: found for 5 % (of any layer: not shown)" in text


def test_answers_can_say_no() -> None:
    from circuitseer_core.experiments.head_answers import answer_numbers, answer_sentence

    rng = np.random.default_rng(0)
    clean = np.ones(40)
    alike = np.array([clean, *((rng.random((11, 40)) < 0.8).astype(float))])
    answers = answer_numbers(alike) | {"heads": 14}
    assert answers[
        "right"
    ] == 40 and ": that more is lost than with random heads is not shown" in answer_sentence(
        answers
    )
    lost = alike.copy()
    lost[1] = 0
    answers = answer_numbers(lost) | {"heads": 14}
    assert answers["right_ablated"] == 0 and ": more is lost than" in answer_sentence(answers)
    assert answer_sentence(answers).endswith("(p < 0.0001, a comparison of its own).")
    unable = np.zeros((12, 40))
    unable[0, :3] = 1
    answers = answer_numbers(unable) | {"heads": 14}
    assert "answers 3 right" in answer_sentence(answers) and "too few" in answer_sentence(answers)
    assert answer_sentence(None) == ""


class TestWithAModel:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Run:
        made = detected_run(tmp_path)
        for name in ("sums", "talk"):
            rows = [
                {"question": f"{name} {i} and {2 * i}?", "answer": f"It is {3 * i}."}
                for i in range(6)
            ]
            lines = "".join(json.dumps(each) + "\n" for each in rows)
            (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        return made

    def test_it_runs_is_kept_and_goes_on(self, run: Run, tmp_path: Path) -> None:
        options = {
            "data": f"sums={tmp_path}/sums.jsonl", "other": f"talk={tmp_path}/talk.jsonl",
            "shares": "0.125,0.25", "draws": "3", "limit": "4", "answers": "2",
            "max_new_tokens": "3", "answer_share": "0.375",
        }  # fmt: skip
        result = EXPERIMENTS["heads"].run(run, **options)
        assert result.numbers["groups"][REASONING]["samples"] == 4
        assert result.numbers["heads"] == {"0.125": 1, "0.25": 2}
        assert len(result.numbers["rows"]) == 2 * 2 * 5
        assert result.numbers["answers"]["asked"] == 2
        assert result.numbers["answers"]["heads"] == 3, "a share of their own"
        table = result.table
        assert set(table["source"]) == {"sums", "talk"} and len(table) == 2 * (2 + 2 * 2 * 7)
        best = table[(table["set"] == "reasoning") & (table["share"] == "0.25") & ~table["keep"]]
        drawn_of = [plot.where["keep"] for plot in result.plots]
        assert drawn_of == [False, True] and "only" in result.plots[1].caption
        assert (best["ablated"] == 2).all() and (best["rise_low"] <= best["rise"]).all()
        [entry] = saved_results(run)
        assert entry.verdict == result.verdict and entry.outcome == result.outcome
        again = EXPERIMENTS["heads"].run(run, **options)  # from the parts
        assert again.table.equals(table)

    def test_without_other_text_it_says_so(self, run: Run, tmp_path: Path) -> None:
        result = EXPERIMENTS["heads"].run(
            run, data=f"{tmp_path}/sums.jsonl", shares="0.25", draws="2", keep="false", answers="0"
        )
        assert "specificity is unknown" in result.verdict
        assert [plot.where["keep"] for plot in result.plots] == [False]

    def test_a_malformed_share(self, run: Run, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="is none of: a share"):
            EXPERIMENTS["heads"].run(run, data=f"{tmp_path}/sums.jsonl", shares="many")
