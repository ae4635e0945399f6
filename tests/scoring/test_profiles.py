"""Profiles against eager attention matrices, on a dozen architectures with peaked attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from circuitseer_core.aliases import Head
from circuitseer_core.model.attention import AttentionCall, Intervention, intervening
from circuitseer_core.model.reference import ReferenceModel
from circuitseer_core.runs.columns import ATTENTION_SCORERS
from circuitseer_core.scoring.profiles import HeadPlan, ProfileObserver, Profiles, observe
from circuitseer_core.scoring.scorers import attention_scores
from tests.support.tiny_models import KINDS, WINDOW, random_ids, tiny_model

LENGTHS = [40, 29, 17]
GROUPS: list[list[Head]] = [[(0, 1), (2, 3), (1, 0)], [(0, 2), (1, 1), (1, 3), (2, 3)]]
WITHOUT_SINKS = [kind for kind in KINDS if kind != "gpt_oss"]


def naive(
    reference: ReferenceModel, ids: Tensor, group: Sequence[Head]
) -> tuple[np.ndarray, np.ndarray]:
    """Profile and undifferentiated profile of one unpadded row, from whole attention matrices."""
    reference.model.set_attn_implementation("eager")
    with torch.inference_mode():
        matrices = reference.model(input_ids=ids[None], output_attentions=True).attentions
    heads = torch.stack([matrices[layer][0, head] for layer, head in group]).double()
    visible = (heads > 0).double()
    flat = visible / visible.sum(-1, keepdim=True)
    return heads.mean(0).mean(0).numpy(), flat.mean(0).mean(0).numpy()


def profiles_of(
    reference: ReferenceModel,
    lengths: Sequence[int] = LENGTHS,
    groups: Sequence[Sequence[Head]] = GROUPS,
) -> tuple[Tensor, Profiles]:
    ids = random_ids(len(lengths), max(lengths), seed=1)
    plan = HeadPlan(groups, reference.device)
    return ids, observe(reference, ids, torch.tensor(lengths), plan)


@pytest.mark.parametrize("kind", KINDS)
def test_profiles_equal_eager_attention(kind: str) -> None:
    reference = tiny_model(kind, layers=3)
    ids, profiles = profiles_of(reference)
    for b, length in enumerate(LENGTHS):
        for g, group in enumerate(GROUPS):
            wanted, flat = naive(reference, ids[b, :length], group)
            assert np.ptp(wanted) * length > 1, "attention is too even for this test to mean much"
            assert np.abs(profiles.observed[b, g, :length].numpy() - wanted).max() <= 1e-6
            assert np.abs(profiles.flat[b, g, :length].numpy() - flat).max() <= 1e-6
            assert not profiles.observed[b, g, length:].any()
            assert not profiles.flat[b, g, length:].any()


@pytest.mark.parametrize("kind", ["gemma2", "gemma3", "mistral", "gpt_oss"])
def test_windows_are_seen(kind: str) -> None:
    """With the mask function unregistered, sliding windows would vanish without a word."""
    reference = tiny_model(kind, layers=3)
    length = 3 * WINDOW
    _, windowed = profiles_of(reference, [length], [[(0, 0)]])
    plain = 1 / np.arange(1, length + 1)
    assert not np.allclose(windowed.flat[0, 0], plain[::-1].cumsum()[::-1] / length, atol=1e-3)
    # The first token is seen by no query after the window's end.
    first = sum(1 / min(i, WINDOW) for i in range(1, WINDOW + 1)) / length
    assert windowed.flat[0, 0, 0].item() == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize("kind", WITHOUT_SINKS)
def test_profiles_sum_to_one(kind: str) -> None:
    _, profiles = profiles_of(tiny_model(kind, layers=3))
    assert torch.allclose(profiles.observed.sum(-1), torch.ones(3, 2), atol=1e-6)
    assert torch.allclose(profiles.flat.sum(-1), torch.ones(3, 2), atol=1e-6)


def test_a_learned_sink_takes_its_share() -> None:
    _, profiles = profiles_of(tiny_model("gpt_oss", layers=3))
    sums = profiles.observed.sum(-1)
    assert (sums < 0.999).all() and (sums > 0.5).all()
    assert torch.allclose(profiles.flat.sum(-1), torch.ones(3, 2), atol=1e-6)


class _RowSums(Intervention):
    def __init__(self) -> None:
        self.worst = 0.0

    def before(self, call: AttentionCall) -> None:
        size, n_heads, length = call.query.shape[:3]
        rows = torch.arange(size).repeat_interleave(n_heads)
        heads = torch.arange(n_heads).repeat(size)
        for start in range(0, length, 7):
            pattern = call.pattern(rows, heads, start, min(start + 7, length))
            self.worst = max(self.worst, (pattern.sum(-1) - 1).abs().max().item())


@pytest.mark.parametrize("kind", WITHOUT_SINKS)
def test_every_row_sums_to_one(kind: str) -> None:
    reference, seen = tiny_model(kind), _RowSums()
    with torch.inference_mode(), intervening(seen):
        reference.hidden(random_ids(2, 30))
    assert 0 < seen.worst <= 1e-6


@pytest.mark.parametrize("kind", ["llama", "gemma3", "qwen2", "gpt2"])
def test_padding_and_company_change_nothing(kind: str) -> None:
    """A sample alone, unpadded, against the same sample in a padded batch."""
    reference = tiny_model(kind, layers=3)
    ids, together = profiles_of(reference)
    plan = HeadPlan(GROUPS, reference.device)
    for b, length in enumerate(LENGTHS):
        alone = observe(reference, ids[b : b + 1, :length], torch.tensor([length]), plan)
        assert torch.allclose(together.observed[b, :, :length], alone.observed[0], atol=1e-6)
        assert torch.allclose(together.flat[b, :, :length], alone.flat[0], atol=1e-6)
        scores = [
            attention_scores(p.numpy(), f.numpy(), np.array([length]), np.zeros((1, n), bool))
            for p, f, n in [
                (together.observed[b : b + 1], together.flat[b : b + 1], ids.shape[1]),
                (alone.observed, alone.flat, length),
            ]
        ]
        for name in ATTENTION_SCORERS:
            assert np.allclose(scores[0][name], scores[1][name], rtol=2e-5), name


@pytest.mark.parametrize("kind", ["llama", "gemma3", "gpt_oss"])
def test_block_size_changes_nothing(kind: str) -> None:
    reference = tiny_model(kind, layers=3)
    ids, whole = profiles_of(reference)
    plan = HeadPlan(GROUPS, reference.device)
    small = ProfileObserver(plan, torch.tensor(LENGTHS), ids.shape[1], stop=False, block_bytes=1)
    with torch.inference_mode(), intervening(small):
        reference.hidden(ids)
    assert torch.allclose(small.profiles().observed, whole.observed, atol=1e-6)
    assert torch.allclose(small.profiles().flat, whole.flat, atol=1e-6)


def test_a_uniform_head_has_divergence_zero() -> None:
    """Queries of zero attend to everything alike."""
    reference = tiny_model("llama")
    with torch.no_grad():
        reference.layers[1].self_attn.q_proj.weight.zero_()
    ids, profiles = profiles_of(reference, groups=[[(1, 0), (1, 2)], [(0, 0)]])
    special = np.zeros(ids.shape, dtype=bool)
    scores = attention_scores(
        profiles.observed.numpy(), profiles.flat.numpy(), np.array(LENGTHS), special
    )
    assert np.allclose(scores["divergence"][:, 0], 0, atol=1e-9)
    assert (scores["divergence"][:, 1] > 0.01).all()


class _Deepest(Intervention):
    def __init__(self) -> None:
        self.layers: list[int] = []

    def before(self, call: AttentionCall) -> None:
        self.layers.append(call.layer)


def test_nothing_runs_after_the_deepest_observed_layer() -> None:
    reference = tiny_model("llama", layers=4)
    seen, mlps = _Deepest(), []
    for number, layer in enumerate(reference.layers):
        layer.mlp.register_forward_pre_hook(lambda *_, number=number: mlps.append(number))
    with intervening(seen):
        profiles_of(reference, groups=[[(0, 0)], [(2, 1)]])
    assert seen.layers == [0, 1, 2] and mlps == [0, 1]


def test_a_shared_head_is_observed_once_and_counts_in_both_groups() -> None:
    reference = tiny_model("qwen3", layers=3)
    both = [[(1, 0), (1, 1)], [(1, 1), (2, 0)]]
    _, together = profiles_of(reference, groups=both)
    for g, group in enumerate(both):
        _, apart = profiles_of(reference, groups=[group])
        assert torch.allclose(together.observed[:, g], apart.observed[:, 0], atol=1e-6)


def test_wrong_heads_would_be_noticed() -> None:
    """The comparison above can fail: another head of the same layer is far away."""
    reference = tiny_model("llama", layers=3)
    ids, profiles = profiles_of(reference)
    other, _ = naive(reference, ids[0], [(layer, (head + 1) % 4) for layer, head in GROUPS[0]])
    assert np.abs(profiles.observed[0, 0].numpy() - other).max() > 1e-3


def test_memory_does_not_grow_with_the_square_of_the_length() -> None:
    """No block of rows is larger than its budget, however long the text."""
    reference = tiny_model("llama", max_position_embeddings=4096)
    sizes: list[int] = []
    original = AttentionCall.pattern

    def watched(self: AttentionCall, *args: Tensor, **kwargs: float) -> Tensor:
        pattern = original(self, *args, **kwargs)
        sizes.append(pattern.numel() * 4)
        return pattern

    plan = HeadPlan([[(0, h) for h in range(4)]], reference.device)
    observer = ProfileObserver(plan, torch.tensor([3000]), 3000, block_bytes=2**20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AttentionCall, "pattern", watched)
        with torch.inference_mode(), intervening(observer), pytest.raises(Exception) as stop:
            reference.hidden(random_ids(1, 3000))
    assert stop.type.__name__ == "StopForward"
    assert len(sizes) > 10 and max(sizes) <= 2**20


def test_an_empty_group_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one head"):
        HeadPlan([[(0, 0)], []], torch.device("cpu"))
