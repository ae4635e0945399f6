"""validate masked-loss: a score that goes with it beyond length, and one that is length alone."""

from __future__ import annotations

import numpy as np
import pytest

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.runs.folder import Run
from tests.support.crafted_run import add_scores
from tests.support.experiment_tests import RNG, spearman


def columns(seed: int = 0, *, common: float, ours: float = 0.0) -> dict[str, np.ndarray]:
    """300 rows: variance and head_influence follow length, and ``common`` more of each other;
    random heads' influence follows length and one another, and ``ours`` of these heads'."""
    rng = RNG(seed)
    tokens = rng.integers(10, 200, 300)
    length = np.log(tokens)
    shared, general = rng.normal(0, 1, (2, 300))
    own = common * shared + rng.normal(0, 0.5, 300)
    made = {
        "n_tokens": tokens,
        "variance": np.exp(length + common * shared + rng.normal(0, 0.5, 300)),
        "head_influence": np.exp(length + own + (1 - ours) * general),
    }
    for draw in range(3):
        values = length + general + rng.normal(0, 0.3, 300) + (1 - ours) * own
        made[f"control_head_influence_{draw}"] = np.exp(values)
    return made


def test_by_hand_and_agreement_is_found(run: Run) -> None:
    made = columns(common=1.0)
    add_scores(run, made)
    result = EXPERIMENTS["masked-loss"].run(run, boots="200")
    line = result.numbers["scores"]["variance"]
    assert line["spearman"] == pytest.approx(spearman(made["variance"], made["head_influence"]))
    xy, xz, yz = (
        spearman(made[a], made[b])
        for a, b in (
            ("variance", "head_influence"), ("variance", "n_tokens"), ("head_influence", "n_tokens")
        )
    )  # fmt: skip
    want = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert line["at_length"] == pytest.approx(want)
    assert line["low"] < line["spearman"] < line["high"]
    tops = [set(np.argsort(-made[name])[:30]) for name in ("variance", "head_influence")]
    assert line["top_shared"] == pytest.approx(len(tops[0] & tops[1]) / 30)
    assert result.outcome is not None and result.outcome.state == "found"
    assert "95 % interval +0" in result.outcome.sentence(), "of all comparisons together"
    assert "they agree beyond length" in result.verdict
    assert result.table["scorer"].tolist() == ["variance", "length"]


def test_length_alone_is_no_agreement(run: Run) -> None:
    add_scores(run, columns(common=0.0))
    result = EXPERIMENTS["masked-loss"].run(run, boots="200")
    assert result.numbers["scores"]["variance"]["spearman"] > 0.3  # by length
    assert result.outcome is not None and result.outcome.state == "no evidence"
    assert "no evidence that they agree beyond length" in result.verdict


def test_heads_like_random_ones_and_heads_unlike_them(run: Run) -> None:
    add_scores(run, columns(common=1.0, ours=0.0))
    alike = EXPERIMENTS["masked-loss"].run(run, boots="200")
    assert "that it tells these heads from random ones is not shown" in alike.verdict
    add_scores(run, columns(common=1.0, ours=1.0))
    apart = EXPERIMENTS["masked-loss"].run(run, boots="200")
    assert ": it tells these heads from random ones" in apart.verdict
    assert apart.numbers["controls"]["gap_low"] > 0


def test_without_controls_or_without_the_score(run: Run) -> None:
    made = columns(common=1.0)
    add_scores(run, {k: v for k, v in made.items() if not k.startswith("control")})
    result = EXPERIMENTS["masked-loss"].run(run, boots="50")
    assert result.numbers["controls"] is None and "needs these heads is unknown" in result.verdict
    with pytest.raises(UserError, match="'focus' is none of variance"):
        EXPERIMENTS["masked-loss"].run(run, scorer="focus")
    add_scores(run, {"variance": made["variance"]}, name="plain")
    with pytest.raises(UserError, match="has no head_influence: score under another --name"):
        EXPERIMENTS["masked-loss"].run(run, scores="plain")
    add_scores(run, {k: v[:9] for k, v in made.items()}, name="few")
    with pytest.raises(UserError, match="none of"):
        EXPERIMENTS["masked-loss"].run(run, scores="few")
