"""Out-of-fold predictions: nothing of a held-out row's target gets into them."""

from __future__ import annotations

import numpy as np

from circuitseer_core.calibration.blocks import BLEND, head_block, word_block
from circuitseer_core.calibration.folds import folds_by_hash, length_basis, share_ranks
from circuitseer_core.calibration.judge import Judge
from circuitseer_core.calibration.names import HEADS, PLUS, WORDS
from circuitseer_core.calibration.nested import (
    Design,
    OutOfFold,
    blend,
    chosen_fit,
    out_of_fold,
    prepared,
)
from tests.support.readings_run import HEADS as ALL
from tests.support.readings_run import planted_rows

FOLDS = 4


def predicted(strength: float, permutations: int = 0, seed: int = 0) -> tuple[OutOfFold, Design]:
    rows, target = planted_rows(200, strength, seed=seed)
    rng = np.random.default_rng(seed)
    permuted = np.column_stack(
        [np.zeros((200, 0)), *(rng.permutation(target) for _ in range(permutations))]
    )
    design = Design(target, rows.tokens, permuted)
    blocks = [head_block(rows, HEADS, ALL, ()), word_block(rows)]
    sums = {WORDS + PLUS: (WORDS, HEADS)}
    return out_of_fold(blocks, sums, design, folds_by_hash(rows.ids, FOLDS, 0)), design


def test_a_planted_effect_is_found_and_noise_is_not() -> None:
    out, design = predicted(1.0)
    judge = Judge(design.target, design.tokens)
    rows, _ = planted_rows(200)
    folds = folds_by_hash(rows.ids, FOLDS, 0)
    assert judge.value(out.blocks[HEADS], folds) > 0.5
    assert judge.value(out.blocks[WORDS + PLUS], folds) > 0.4
    assert abs(judge.value(out.blocks[WORDS], folds)) < 0.3
    none, design = predicted(0.0)
    assert abs(Judge(design.target, design.tokens).value(none.blocks[HEADS], folds)) < 0.25


def test_permuted_targets_give_no_more_than_chance() -> None:
    out, design = predicted(1.0, permutations=40)
    rows, _ = planted_rows(200)
    folds = folds_by_hash(rows.ids, FOLDS, 0)
    values = [
        Judge(target, design.tokens).value(guess, folds)
        for target, guess in zip(design.permuted.T, out.permuted.T, strict=True)
    ]
    assert abs(np.mean(values)) < 0.06
    assert max(values) < Judge(design.target, design.tokens).value(out.blocks[HEADS], folds)


def test_the_target_of_a_held_out_row_changes_no_prediction_of_it() -> None:
    rows, target = planted_rows(120)
    folds = folds_by_hash(rows.ids, FOLDS, 0)
    blocks = [head_block(rows, HEADS, ALL, ()), word_block(rows)]
    held_out = np.flatnonzero(folds == 1)
    other = target.copy()
    other[held_out] = np.random.default_rng(5).normal(size=len(held_out)) * 100
    none = np.zeros((120, 0))
    one = out_of_fold(blocks, {}, Design(target, rows.tokens, none), folds)
    two = out_of_fold(blocks, {}, Design(other, rows.tokens, none), folds)
    for name in (HEADS, WORDS):
        assert np.allclose(one.blocks[name][held_out], two.blocks[name][held_out])
        assert not np.allclose(one.blocks[name], two.blocks[name])


def test_the_blend_is_the_mean_of_its_fits_and_yields_to_a_clear_winner() -> None:
    rows, target = planted_rows(200, 3.0)
    block = head_block(rows, HEADS, ALL, ())
    train, held_out = np.arange(150), np.arange(150, 200)
    training = prepared(
        Design(target, rows.tokens, np.zeros((200, 0))), train, held_out, permuted=False
    )
    fits = [variant.fit(train, held_out, training) for variant in block.variants]
    mixed = blend(fits[:-1])
    assert np.allclose(mixed.held_out, np.mean([fit.held_out for fit in fits[:-1]], axis=0))
    everything = rows.readings[held_out].reshape(len(held_out), -1).astype(np.float64)
    by_hand = (
        everything @ mixed.weights[:, 0] - length_basis(rows.tokens[held_out]) @ mixed.length[:, 0]
    )
    assert np.allclose(by_hand, mixed.held_out[:, 0])
    assert chosen_fit(block, fits, training.targets)[0] in ("first", "all")
    rows, target = planted_rows(200, 0.0)
    training = prepared(
        Design(target, rows.tokens, np.zeros((200, 0))), train, held_out, permuted=False
    )
    fits = [variant.fit(train, held_out, training) for variant in block.variants]
    assert chosen_fit(block, fits, training.targets)[0] == BLEND


def test_ranks_are_shares_within_groups() -> None:
    values = np.array([3.0, 1.0, 2.0, np.nan, 10.0, 20.0])
    assert np.allclose(share_ranks(values[:3]), [5 / 6, 1 / 6, 1 / 2])
    grouped = share_ranks(values, np.array([0, 0, 0, 0, 1, 1]))
    assert np.allclose(grouped, [5 / 6, 1 / 6, 1 / 2, np.nan, 0.25, 0.75], equal_nan=True)


def test_a_fold_is_a_property_of_the_key() -> None:
    ids = [f"a/{i}" for i in range(1000)]
    folds = folds_by_hash(ids, 10, 0)
    assert (folds_by_hash(ids[5:9], 10, 0) == folds[5:9]).all()
    assert set(folds) == set(range(10)) and (folds != folds_by_hash(ids, 10, 0, 1)).any()
    assert np.bincount(folds).min() > 60
