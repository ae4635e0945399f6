"""How a round's work is cut: everything once, with little padding and one clean copy."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from circuitseer_core.aliases import Head
from circuitseer_core.detection.parts import MOST_PADDING, parts_of
from circuitseer_core.model.encoding import Encoded

HEADS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=30, unique=True
)
LENGTHS = st.lists(st.integers(3, 200), min_size=1, max_size=20)


@given(LENGTHS, LENGTHS, HEADS, st.integers(1, 4096))
def test_every_head_meets_every_sample_once(
    probe: list[int], contrast: list[int], field: list[Head], stack_tokens: int
) -> None:
    sets = {
        name: [Encoded(f"{name}{i}", "s", [1] * n, 1) for i, n in enumerate(lengths)]
        for name, lengths in (("probe", probe), ("contrast", contrast))
    }
    parts = parts_of(sets, field, slice(1, None), number=2, stack_tokens=stack_tokens)
    seen = Counter(
        (part.set_name, i, part.layer, head)
        for part in parts
        for i in part.samples
        for head in part.heads
    )
    assert seen == Counter(
        (name, i, *head) for name in sets for i in range(1, len(sets[name])) for head in field
    )
    for part in parts:
        lengths = [sets[part.set_name][i].n_tokens for i in part.samples]
        positions = max(lengths) * len(lengths)
        assert positions - sum(lengths) <= MOST_PADDING * positions


@given(LENGTHS, HEADS)
def test_one_clean_copy_a_round(lengths: list[int], field: list[Head]) -> None:
    sets = {"probe": [Encoded(str(i), "s", [1] * n, 1) for i, n in enumerate(lengths)]}
    parts = parts_of(sets, field, slice(None), number=0, stack_tokens=256)
    copies = [(part.batch, part.layer) for part in parts if part.noise]
    assert copies == [(0, min(layer for layer, _ in field))]
