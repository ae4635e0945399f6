"""The comparison: every rival on the same folds, and gains that are gains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from circuitseer_core.calibration.compare import all_blocks, study
from circuitseer_core.calibration.names import HEADS, PLUS, REST, WORDS
from circuitseer_core.calibration.rows import Rows
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.calibration_records import Estimate
from tests.support.readings_run import PLANTED, planted_rows

FEW = CalibrateSettings(target="x", folds=4, repeats=1, permutations=20)


def lines(rows: Rows, target: np.ndarray, settings: CalibrateSettings = FEW) -> dict[str, Estimate]:
    compared = study(rows, target, settings, PLANTED)
    return {e.name: e for e in compared.estimates if e.judged == "pooled"}


def test_losses_are_a_rival_where_they_were_scored() -> None:
    rows, target = planted_rows(160, strength=0.0)
    noisy = np.exp(target / 4 + np.random.default_rng(2).normal(size=160) / 4)
    noisy[::9] = np.nan
    with_loss = replace(rows, numbers=rows.numbers | {"perplexity": noisy})
    by_name = lines(with_loss, target)
    loss = by_name["perplexity and IFD"]
    assert loss.value is not None and loss.value > 0.4
    assert f"perplexity and IFD{PLUS}" in by_name and "perplexity" in by_name
    assert "perplexity and IFD" not in lines(rows, target)
    both = study(with_loss, target, FEW, PLANTED).gains
    assert (HEADS, "perplexity and IFD") in {(g.name, g.than) for g in both} or (
        HEADS,
        "perplexity",
    ) in {(g.name, g.than) for g in both}


def test_what_heads_add_is_paired_and_has_an_interval() -> None:
    rows, target = planted_rows(200)
    compared = study(rows, target, FEW, PLANTED)
    gains = {(g.name, g.than): g for g in compared.gains}
    by_name = {e.name: e.value for e in compared.estimates}
    for base in (WORDS, REST):
        gain = gains[base + PLUS, base]
        assert gain.value is not None and gain.low is not None and gain.high is not None
        wanted = (by_name[base + PLUS] or 0) - (by_name[base] or 0)
        assert gain.value == pytest.approx(wanted, abs=1e-5)
        assert 0 < gain.low < gain.value < gain.high


def test_random_heads_are_none_of_the_reasoning_heads() -> None:
    rows, _ = planted_rows(80)
    blocks = all_blocks(rows, FEW, PLANTED)
    names = [block.name for block in blocks]
    assert names[0] == HEADS and sum(n.startswith("random heads") for n in names) == 10
    by_name = {block.name: block for block in blocks}
    chosen = by_name["reasoning heads"].variants[0]
    drawn = by_name["random heads 0"].variants[0]
    assert chosen.values.shape == drawn.values.shape == (80, 2)  # type: ignore[attr-defined]
    assert not np.allclose(chosen.values, drawn.values)  # type: ignore[attr-defined]


def test_means_over_assignments_differ_from_one() -> None:
    rows, target = planted_rows(120)
    one = lines(rows, target)[HEADS].value
    three = lines(rows, target, FEW.model_copy(update={"repeats": 3}))[HEADS].value
    assert one is not None and three is not None and one != three
    assert one == pytest.approx(three, abs=0.1)


def test_a_target_without_variance_is_refused() -> None:
    rows, target = planted_rows(80)
    with pytest.raises(UserError, match="the same on every row"):
        study(rows, np.ones_like(target), FEW, PLANTED)


def test_a_score_from_elsewhere_may_be_called_as_a_fitted_line() -> None:
    rows, target = planted_rows(120)
    plain = lines(rows, target)
    with_words = replace(rows, numbers=rows.numbers | {"words": target, "heads": -target})
    both = lines(with_words, target)
    assert both[WORDS] == plain[WORDS] and both[HEADS] == plain[HEADS]
    assert (both["words (score)"].value or 0) > 0.99


def test_one_source_leaves_nothing_to_take_out() -> None:
    rows, target = planted_rows(120)
    within = FEW.model_copy(update={"within_sources": True})
    plain, taken_out = (study(rows, target, chosen, PLANTED) for chosen in (FEW, within))
    assert taken_out.chance == plain.chance and taken_out.chance.p < 0.1
    assert {e.judged for e in taken_out.estimates} == {"pooled"}


def test_length_itself_is_no_target() -> None:
    """Every line is judged at a fixed length, where nothing of it is left."""
    rows, _ = planted_rows(60)
    with pytest.raises(UserError, match="at a fixed number of tokens the target has no order"):
        study(rows, rows.tokens.astype(float), FEW, PLANTED)
