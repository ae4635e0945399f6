"""Scores of made-up profiles, against the formulas written out token by token."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuitseer_core.hashing import uniforms
from circuitseer_core.runs.columns import ATTENTION_SCORERS
from circuitseer_core.scoring.scorers import attention_scores, random_scores, sink_share


def naive(profile: list[float], flat: list[float], special: list[bool]) -> dict[str, float]:
    """The table of docs/method.md, for one sample, in plain Python."""
    n = len(profile)

    def variance(values: list[float]) -> float:
        mean = sum(values) / len(values)
        return sum((v - mean) ** 2 for v in values) / len(values)

    keep = [j for j in range(1, n) if not special[j]]
    x = [profile[j] / sum(profile[k] for k in keep) for j in keep]
    w = [flat[j] / sum(flat[k] for k in keep) for j in keep]
    return {
        "variance": variance([n * m for m in profile]),
        "raw_variance": variance(profile),
        "focus": len(keep) ** 2 * variance(x),
        "divergence": sum((a - b) ** 2 / b for a, b in zip(x, w, strict=True)),
    }


def causal_flat(length: int) -> np.ndarray:
    """The profile of uniform causal attention, by adding up its rows."""
    return np.mean([[1 / (i + 1)] * (i + 1) + [0.0] * (length - i - 1) for i in range(length)], 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 40), st.integers(0, 2**32 - 1), st.booleans())
def test_scores_are_the_formulas(length: int, seed: int, with_special: bool) -> None:
    rng = np.random.default_rng(seed)
    profile = rng.dirichlet(np.full(length, 0.3) + 1e-3).astype(np.float32)
    special = np.zeros(length, dtype=bool)
    special[0] = with_special
    if with_special and length > 4:
        special[rng.integers(1, length)] = True
    flat = causal_flat(length).astype(np.float32)
    padding = int(rng.integers(0, 6))
    junk = rng.normal(size=padding).astype(np.float32)
    got = attention_scores(
        np.concatenate([profile, junk])[None, None],
        np.concatenate([flat, junk])[None, None],
        np.array([length]),
        np.concatenate([special, np.zeros(padding, bool)])[None],
    )
    wanted = naive(profile.astype(float).tolist(), flat.astype(float).tolist(), special.tolist())
    for name in ATTENTION_SCORERS:
        assert got[name][0, 0] == pytest.approx(wanted[name], rel=1e-9, abs=1e-15), name


def test_uniform_attention_has_no_divergence() -> None:
    flat = causal_flat(50).astype(np.float32)[None, None]
    none_special = np.zeros((1, 50), dtype=bool)
    scores = attention_scores(flat, flat, np.array([50]), none_special)
    assert scores["divergence"][0, 0] == 0
    assert 0.85 < scores["variance"][0, 0] < 1  # the known trap: a uniform head's variance is not 0


def test_length_scaling_of_the_two_variances() -> None:
    """The same shape over twice the tokens: variance stays, raw_variance falls to a quarter."""
    short = np.array([[[0.5, 0.1, 0.2, 0.2]]], dtype=np.float32)
    long = np.repeat(short, 2, axis=2) / 2
    a = attention_scores(short, short, np.array([4]), np.zeros((1, 4), bool))
    b = attention_scores(long, long, np.array([8]), np.zeros((1, 8), bool))
    assert b["variance"] == pytest.approx(a["variance"])
    assert b["raw_variance"] == pytest.approx(a["raw_variance"] / 4)


@pytest.mark.parametrize("special", [[True, False], [False, False, True], [True, True, True]])
def test_fewer_than_two_kept_tokens_is_no_score(special: list[bool]) -> None:
    n = len(special)
    profile = np.full((1, 1, n), 1 / n, dtype=np.float32)
    scores = attention_scores(profile, profile, np.array([n]), np.array([special]))
    assert all(np.isnan(scores[name]).all() for name in ATTENTION_SCORERS)


def test_a_broken_profile_gives_no_number_and_spares_its_neighbours() -> None:
    profiles = np.tile(np.float32([0.4, 0.3, 0.2, 0.1]), (3, 1, 1))
    profiles[1, 0, 2] = np.nan
    flat = np.tile(causal_flat(4).astype(np.float32), (3, 1, 1))
    scores = attention_scores(profiles, flat, np.full(3, 4), np.zeros((3, 4), bool))
    for name in ATTENTION_SCORERS:
        assert np.isfinite(scores[name][[0, 2], 0]).all() and np.isnan(scores[name][1, 0])


def test_random_scores_belong_to_the_id_and_are_not_the_draws_noise() -> None:
    ids = [f"gsm/{i}" for i in range(500)]
    scores = random_scores(3, ids)
    assert np.array_equal(random_scores(3, ids[::-1]), scores[::-1])
    assert not np.array_equal(random_scores(4, ids), scores)
    for domain in ("selection", "control-subsample", "gumbel"):
        assert abs(np.corrcoef(uniforms(3, domain, ids), scores)[0, 1]) < 0.2


def test_sink_share_by_hand() -> None:
    profiles = np.array([[0.7, 0.2, 0.1, 0.0], [0.5, 0.5, 0.9, 0.9]])  # the second has two tokens
    share = sink_share(profiles, np.array([4, 2]))
    # a = 2.8, 0.8, 0.4, 0: gaps² 3.24, 0.04, 0.36, 1
    assert share[0] == pytest.approx(3.24 / 4.64)
    assert np.isnan(share[1])  # even: nothing to share
