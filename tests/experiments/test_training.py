"""What a training study says, from tables of planted and absent differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from circuitseer_core.experiments.training_table import by_seed, effects_table
from circuitseer_core.experiments.training_words import outcome, plots, seeds_needed, verdict
from circuitseer_core.runs.experiment_records import Outcome
from circuitseer_core.training.settings import StudySettings

NUMBERS: dict[str, Any] = {
    "model": "tiny", "reference": "uniform", "see": 0.01, "steps": 12, "full_steps": None,
    "max_length": 512, "seconds": 90.0, "skipped": {}, "rows": {}, "heldout_left_out": 0,
    "seen": [], "learning_rate": 1e-4, "development_loss": {"1e-05": 2.0, "0.0001": 1.5},
}  # fmt: skip


def _soft(shift: float, arms: int) -> Outcome | None:
    """The outcome of a soft draw ``shift`` nats above uniform, among ``arms`` others."""
    rng = np.random.default_rng(2)
    items = rng.normal(1, 0.3, 200)

    def table(added: float, seed: int) -> pd.DataFrame:
        noise = np.random.default_rng(seed).normal(0, 0.01, 200)
        ids = [f"x/{i}" for i in range(200)]
        return pd.DataFrame({"id": ids, "source": "a", "loss": items + added + noise,
                             "correct": np.nan})  # fmt: skip

    tables = {"uniform": [table(0.0, s) for s in range(4)],
              "soft": [table(shift, 10 + s) for s in range(4)]}  # fmt: skip
    for arm in range(arms):
        tables[f"arm {arm}"] = [table(0.0, 100 * arm + 50 + s) for s in range(4)]
    return outcome(effects_table(tables, "uniform"), NUMBERS)


def test_the_outcome_says_yes_no_and_names_its_correction() -> None:
    better, same, worse = (_soft(shift, 3) for shift in (-0.05, 0.0, 0.05))
    assert better is not None and same is not None and worse is not None
    assert (better.state, same.state, worse.state) == ("found", "no evidence", "no evidence")
    assert (better.comparisons, better.correction) == (4, "Holm")


def test_a_gain_that_the_number_of_arms_takes_away_is_open() -> None:
    both = {"measure": "loss", "whole": True, "seeds": 3}
    soft = {"arm": "soft", "difference": -0.01, "low": -0.019, "high": -0.001, "p_holm": 0.3}
    table = pd.DataFrame([both | {"arm": "uniform"}, both | soft])
    judged = outcome(table, NUMBERS)
    assert judged is not None and judged.low is not None
    assert judged.low > 0 and judged.state == "inconclusive"


def test_seeds_that_cannot_help_are_said() -> None:
    others = pd.DataFrame(
        {"seeds_needed": [3, 7, None], "seen": [0.02, 0.03, 0.5]}, index=["soft", "top-k", "ifd"]
    )
    assert seeds_needed(others, 0.05, 50, 3) == (
        "A difference of 0.05 nats would be seen (80 % power, corrected for 3 arms): soft with 3 "
        "seeds; top-k with 7 seeds; ifd with no number of seeds on 50 held-out samples. As it was "
        "done, one of 0.020 to 0.50 nats would be."
    )


def test_effects_pair_seeds_and_items() -> None:
    ids = [f"x/{i}" for i in range(30)]
    rng = np.random.default_rng(1)
    base = rng.normal(1, 0.5, 30)

    def table(shift: float, seed: int) -> pd.DataFrame:
        noise = np.random.default_rng(seed).normal(0, 0.01, 30)
        return pd.DataFrame(
            {"id": ids, "source": ["a"] * 20 + ["b"] * 10, "loss": base + shift + noise,
             "correct": np.nan}
        )  # fmt: skip

    tables = {
        "untrained": [table(0.3, 9)],
        "uniform": [table(0.0, s) for s in range(3)],
        "soft": [table(-0.05, 10 + s) for s in range(3)],
        "top-k": [table(0.0, 20 + s) for s in range(3)],
    }
    effects = effects_table(tables, "uniform").set_index(["arm", "source"])
    assert effects.loc[("soft", "all"), "difference"] == pytest.approx(-0.05, abs=0.01)
    assert effects.loc[("soft", "b"), "items"] == 10
    assert effects.loc[("soft", "all"), "p_holm"] < 0.05 < effects.loc[("top-k", "all"), "p_holm"]
    assert effects.loc[("untrained", "all"), "low"] > 0.2
    assert set(effects["measure"]) == {"loss"}, "no answers were asked for"


def _judged(seed: int, loss: float, right: float | None = None) -> pd.DataFrame:
    """40 items of two sources; ``right``: the share of the first 20 that is answered right."""
    rng = np.random.default_rng(seed)
    correct = np.full(40, np.nan)
    if right is not None:
        correct[:20] = rng.random(20) < right
    return pd.DataFrame(
        {"id": [f"x/{i}" for i in range(40)], "source": ["a"] * 20 + ["b"] * 20,
         "loss": loss + np.arange(40) / 40 + rng.normal(0, 0.01, 40), "correct": correct}
    )  # fmt: skip


def _tables(right: dict[str, float | None]) -> dict[str, list[pd.DataFrame]]:
    tables = {"untrained": [_judged(99, 2.0, right["untrained"])]}
    for number, kind in enumerate(("uniform", "soft")):
        tables[kind] = [_judged(10 * number + s, 1.0, right[kind]) for s in range(3)]
    return tables


def test_right_answers_are_told_and_drawn_where_they_were_asked_for() -> None:
    table = effects_table(_tables({"untrained": 0.1, "uniform": 0.2, "soft": 0.9}), "uniform")
    row = table[(table["measure"] == "accuracy") & table["whole"]].set_index("arm").loc["soft"]
    text = verdict(table, NUMBERS)
    assert "Of 20 problems answered greedily" in text and "right after uniform" in text
    assert f"differences in points of right answers: soft +{100 * row['difference']:.1f} (" in text
    assert [plot.where["measure"] for plot in plots(table)] == ["loss", "loss", "accuracy"]
    without = effects_table({"uniform": [_judged(0, 1.0)], "soft": [_judged(1, 1.0)]}, "uniform")
    assert "answered greedily" not in verdict(without, NUMBERS) and len(plots(without)) == 2


def test_every_seed_is_kept_so_that_the_table_can_be_made_again() -> None:
    tables = _tables({"untrained": None, "uniform": None, "soft": None})
    table = effects_table(tables, "uniform").set_index(["arm", "source"])
    kept = by_seed(tables, "uniform", {"uniform": [0, 1, 2], "soft": [0, 1, 2]})
    lines = {(line["arm"], line["source"]): line for line in kept}
    for source in ("all", "a", "b"):
        line, row = lines["soft", source], table.loc[("soft", source)]
        assert line["seeds"] == [0, 1, 2] and len(line["differences"]) == 3
        assert np.mean(line["differences"]) == pytest.approx(row["difference"])
        assert np.mean(line["means"]) == pytest.approx(row["mean"])
    assert len(lines["untrained", "all"]["differences"]) == 3
    assert "differences" not in lines["uniform", "all"]


def test_what_a_model_saw_and_what_was_left_out_is_told() -> None:
    table = effects_table(_tables({"untrained": None, "uniform": None, "soft": None}), "uniform")
    seen = [{"arm": "soft", "tokens": 4522, "arm_tokens": 6000},
            {"arm": "uniform", "tokens": 6100, "arm_tokens": 6000},
            {"arm": "full", "tokens": 99999, "arm_tokens": 99999}]  # fmt: skip
    more = {
        "seen": seen, "heldout_left_out": 2, "skipped": {"top-k": "no row of top-k fits"},
        "rows": {"soft-s0": {"used": 9, "long": 2, "unusable": 1},
                 "uniform-s0": {"used": 9, "long": 0, "unusable": 0}},
    }  # fmt: skip
    text = verdict(table, NUMBERS | more)
    assert "A model saw 4,522 to 6,100 tokens, 75 % to 102 % of its arm's." in text
    assert "2 held-out rows left out: an arm or the probe asks the same." in text
    assert "top-k was not trained: no row of top-k fits." in text
    assert "without a usable response: soft-s0 3 of 12." in text


def test_only_seeds_that_both_have_are_judged_and_counted() -> None:
    three = _tables({"untrained": None, "uniform": None, "soft": None})
    tables = {"uniform": three["uniform"][:1], "soft": three["soft"], "top-k": three["uniform"][1:]}
    effects = effects_table(tables, "uniform").set_index(["arm", "source"])
    assert effects.loc[("soft", "all"), "seeds"] == effects.loc[("top-k", "all"), "seeds"] == 1
    gap = effects.loc[("soft", "all"), "mean"] - effects.loc[("uniform", "all"), "mean"]
    assert effects.loc[("soft", "all"), "difference"] == pytest.approx(gap)


@pytest.mark.parametrize(("uniform", "soft"), [(1, 3), (3, 1), (1, 1)])
def test_one_seed_on_either_side_tells_nothing_of_the_arms(uniform: int, soft: int) -> None:
    kept = _tables({"untrained": None, "uniform": None, "soft": None})
    better = [table.assign(loss=table["loss"] - 0.5) for table in kept["soft"]]
    table = effects_table({"uniform": kept["uniform"][:uniform], "soft": better[:soft]}, "uniform")
    judged = outcome(table, NUMBERS)
    assert judged is not None and judged.state == "inconclusive"
    text = verdict(table, NUMBERS)
    assert "One seed: " in text and "would be seen" not in text
    whole = effects_table({"uniform": kept["uniform"], "soft": better}, "uniform")
    three = outcome(whole, NUMBERS)
    assert three is not None and three.state == "found", "with three seeds it is"


def test_an_arm_of_one_seed_beside_others_is_marked() -> None:
    kept = _tables({"untrained": None, "uniform": None, "soft": None})
    far = [kept["soft"][0].assign(loss=kept["soft"][0]["loss"] + 0.5)]
    text = verdict(effects_table(kept | {"top-k": far}, "uniform"), NUMBERS)
    assert text.count("; one seed).") == 1 and "top-k: +0." in text
    assert "No arm differs clearly from uniform" in text, "the arm of one seed is none that does"


@pytest.mark.parametrize(
    ("rate", "losses", "sentence"),
    [
        (1e-3, {}, "Learning rate 0.001, the only one given."),
        (3e-5, {"1e-05": 2.0, "3e-05": 1.0, "0.0001": 1.5}, "no arm is judged on."),
        (1e-4, {"1e-05": 2.0, "0.0001": 1.5}, "highest tried, and a higher one may be better."),
        (1e-5, {"1e-05": 1.0, "0.0001": None}, "lowest tried, and a lower one may be better."),
    ],
)
def test_the_learning_rate_is_told_and_where_it_is_the_last_tried(
    rate: float, losses: dict[str, float | None], sentence: str
) -> None:
    table = effects_table(_tables({"untrained": None, "uniform": None, "soft": None}), "uniform")
    text = verdict(table, NUMBERS | {"learning_rate": rate, "development_loss": losses})
    assert sentence in text


def test_lora_begins_from_higher_rates_and_what_is_given_is_kept() -> None:
    whole, lora = StudySettings(), StudySettings(lora_rank=8)
    assert whole.rates == (1e-5, 3e-5, 1e-4) and lora.rates == (1e-4, 3e-4, 1e-3)
    assert StudySettings(lora_rank=8, learning_rates="1e-5,2e-5").rates == (1e-5, 2e-5)
    assert lora.decisive()["learning_rates"] == [1e-4, 3e-4, 1e-3]


def test_answers_that_are_all_wrong_or_alike_have_no_interval() -> None:
    tables = _tables({"untrained": 0.0, "uniform": 0.0, "soft": 0.0})
    nothing = effects_table(tables, "uniform")
    right = nothing[(nothing["measure"] == "accuracy") & nothing["whole"]].set_index("arm")
    assert right.loc["soft", "difference"] == 0 and np.isnan(right.loc["soft", "low"])
    assert np.isnan(right.loc["soft", "p_holm"]) and np.isnan(right.loc["soft", "seen"])
    assert "Of 20 problems answered greedily none is right" in verdict(nothing, NUMBERS)
    some = _tables({"untrained": 0.0, "uniform": 0.5, "soft": 0.5})
    for one, other in zip(some["soft"], some["uniform"], strict=True):
        one["correct"] = other["correct"]
    text = verdict(effects_table(some, "uniform"), NUMBERS)
    assert "differences in points of right answers: soft none." in text


def test_power_is_corrected_for_arms_of_one_seed_too() -> None:
    kept = _tables({"untrained": None, "uniform": None, "soft": None})
    text = verdict(effects_table(kept | {"top-k": kept["soft"][:1]}, "uniform"), NUMBERS)
    assert "corrected for 2 arms" in text and "Holm" in text


def test_what_was_seen_of_the_whole_pool_is_told() -> None:
    kept = _tables({"untrained": None, "uniform": None, "soft": None})
    seen = [{"arm": "full", "tokens": tokens, "arm_tokens": 1000} for tokens in (810, 824)]
    text = verdict(
        effects_table(kept | {"full": kept["soft"]}, "uniform"),
        NUMBERS | {"full_steps": 40, "seen": seen},
    )
    assert "on each arm (full: 40 steps, 81 % to 82 % of its tokens)" in text
