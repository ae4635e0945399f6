"""Ridge at fixed length against refits one row at a time, and what it must not be able to do."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from circuitseer_core.calibration.folds import length_basis
from circuitseer_core.calibration.linear import LengthOut, Training, fit_ridge


def data(n: int, p: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(8, 300, n).astype(float)
    columns = rng.normal(size=(n, p)) + np.log(tokens)[:, None]
    target = columns[:, : min(3, p)].sum(1) + rng.normal(size=n) + 3 * np.log(tokens)
    return tokens, columns, target


def training_of(tokens: np.ndarray, held_out: np.ndarray, *targets: np.ndarray) -> Training:
    out = LengthOut(tokens)
    return Training(out, length_basis(held_out), out.residual(np.column_stack(targets)))


@pytest.mark.parametrize("p", [4, 90])
def test_inner_predictions_are_those_of_refits_without_the_row(p: int) -> None:
    tokens, columns, target = data(50, p)
    training = training_of(tokens, tokens[:0], target)
    fit = fit_ridge(columns, columns[:0], training)
    left = training.out.residual(columns)
    spread = left.std(0)
    size = np.sqrt(((left / spread) ** 2).sum() / len(left))
    for row in (0, 17, 49):
        rest = np.arange(50) != row
        out = LengthOut(tokens[rest])
        ridge = Ridge(fit.alpha[0], fit_intercept=False)
        ridge.fit(
            out.residual(columns[rest] / spread / size), out.residual(target[rest, None])[:, 0]
        )
        basis = length_basis(tokens[[row]])
        own = columns[[row]] / spread / size
        own = own - basis @ out.coefficients(columns[rest] / spread / size)
        expected = ridge.predict(own)[0] + (basis @ out.coefficients(target[rest, None])).item()
        length_alone = (length_basis(tokens) @ training.out.coefficients(target[:, None]))[row, 0]
        assert fit.inner[row, 0] + length_alone == pytest.approx(expected, abs=1e-6)


def test_held_out_rows_are_predicted_by_the_weights() -> None:
    tokens, columns, target = data(80, 6)
    training = training_of(tokens[:60], tokens[60:], target[:60])
    fit = fit_ridge(columns[:60], columns[60:], training)
    by_hand = columns[60:] @ fit.weights[:, 0] - length_basis(tokens[60:]) @ fit.length[:, 0]
    assert np.allclose(by_hand, fit.held_out[:, 0])
    left = (
        target[60:] - length_basis(tokens[60:]) @ training.out.coefficients(target[:60, None])[:, 0]
    )
    assert np.corrcoef(fit.held_out[:, 0], left)[0, 1] > 0.8


def test_more_columns_than_rows_do_not_predict_noise() -> None:
    """Without the leverage of the length regression the inner error would be near 0."""
    rng = np.random.default_rng(3)
    tokens, columns = rng.integers(8, 300, 60).astype(float), rng.normal(size=(60, 400))
    training = training_of(tokens, tokens[:0], rng.normal(size=60))
    fit = fit_ridge(columns, columns[:0], training)
    assert fit.error[0] > 0.8 * training.targets.var()


def test_targets_do_not_meet() -> None:
    tokens, columns, target = data(60, 12)
    other = np.random.default_rng(9).permutation(target)
    both = fit_ridge(columns, columns[:5], training_of(tokens, tokens[:5], target, other))
    alone = fit_ridge(columns, columns[:5], training_of(tokens, tokens[:5], other))
    assert np.allclose(both.held_out[:, 1], alone.held_out[:, 0])
    assert both.alpha[1] == alone.alpha[0]


def test_length_is_taken_out_and_so_are_sources() -> None:
    tokens, columns, _ = data(60, 2)
    out = LengthOut(tokens)
    assert np.allclose(length_basis(tokens).T @ out.residual(columns), 0, atol=1e-8)
    source = (np.arange(60) % 3).astype(np.int64)
    left = LengthOut(tokens, source).residual(columns + 10.0 * source[:, None])
    assert all(abs(left[source == s].mean()) < 1e-8 for s in range(3))


def test_one_length_and_constant_columns_do_no_harm() -> None:
    tokens = np.full(30, 50.0)
    columns = np.column_stack([np.arange(30.0), np.ones(30)])
    fit = fit_ridge(columns, columns[:3], training_of(tokens, tokens[:3], np.arange(30.0)))
    assert np.isfinite(fit.held_out).all() and fit.weights[1, 0] == 0
    assert fit.held_out[0, 0] < fit.held_out[2, 0]
