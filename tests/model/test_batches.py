"""Batches under a token budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from circuitseer_core.model.batches import group_by_tokens, loss_batch
from circuitseer_core.model.encoding import Encoded
from tests.support.tiny_models import tiny_model


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_groups_keep_the_budget(lengths: list[int], budget: int) -> None:
    groups = group_by_tokens(lengths, budget)
    assert sorted(i for g in groups for i in g) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or max(lengths[i] for i in group) * len(group) <= budget


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200), st.floats(0, 1))
def test_groups_keep_the_padding(lengths: list[int], budget: int, most: float) -> None:
    groups = group_by_tokens(lengths, budget, most)
    assert sorted(i for g in groups for i in g) == list(range(len(lengths)))
    for group in groups:
        longest, tokens = max(lengths[i] for i in group), sum(lengths[i] for i in group)
        assert len(group) == 1 or longest * len(group) <= budget
        assert longest * len(group) - tokens <= most * longest * len(group)


def test_halves_of_a_batch() -> None:
    samples = [Encoded(str(i), "s", list(range(1, 8 + i)), 3) for i in range(3)]
    batch = loss_batch(samples, tiny_model("llama").device)
    left, right = batch.halves()
    assert left.sample_ids + right.sample_ids == batch.sample_ids
    assert right.targets.tolist() == batch.targets[batch.rows >= 1].tolist()
    assert int(right.rows.min()) == 0 and left.ids.shape[1] == 7
