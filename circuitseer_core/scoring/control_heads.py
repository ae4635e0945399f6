"""Random heads of the same layers: what would any heads have said of these samples?

A score that random heads give just as well says nothing of the reasoning heads. Twenty draws of
control heads are observed in the same forward pass: the first three on a hash-chosen subsample of
the data, the others, which cost more, on a smaller one inside it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np

from circuitseer_core.aliases import Head, Ints
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import hash64, uniforms
from circuitseer_core.runs.columns import DRAWS
from circuitseer_core.wording import count

LIMIT = 20_000
"""Most samples that carry controls: enough for a rank correlation to within 0.01."""

LEAST_LIMIT = 100
"""A draw by hash that stays within fewer rows may leave none."""
FIRST_DRAWS = 3
FURTHER_LIMIT = 2_000
"""Most samples that carry the draws after the first ones, which double a small row's bytes. What
they are for, the spread over draws, needs no more rows (docs/decisions.md)."""


def control_heads(
    reasoning: Sequence[Head], heads_per_layer: Sequence[int], seed: int
) -> list[list[Head]]:
    """DRAWS draws of as many heads as there are reasoning heads, none of them a reasoning head.

    Each draw takes, in every layer, as many heads as that layer has reasoning heads; where too few
    are free there, the rest come from the nearest layer with free heads (the lower of two). A
    draw never takes a head twice; it is smaller than the reasoning set only where the whole model
    has too few other heads. The order of the dice is a stable hash of (seed, draw, head).
    """
    return [heads_like(reasoning, heads_per_layer, seed, number) for number in range(DRAWS)]


def heads_anywhere(
    reasoning: Sequence[Head], heads_per_layer: Sequence[int], seed: int, number: int
) -> list[Head]:
    """As many random heads of any layer, none of them in ``reasoning``; draw ``number``."""
    everyone = [(layer, h) for layer, n in enumerate(heads_per_layer) for h in range(n)]
    free = _shuffled(everyone, seed, number, set(reasoning), "any-heads")
    return sorted(free[: len(set(reasoning))])


def heads_like(
    reasoning: Sequence[Head], heads_per_layer: Sequence[int], seed: int, number: int
) -> list[Head]:
    """One draw of :func:`control_heads`, by its number."""
    taken = set(reasoning)
    layers = range(len(heads_per_layer))

    @cache  # most layers are never asked for
    def free(layer: int) -> list[Head]:
        """The layer's heads that may still be drawn, in an order by chance."""
        heads = [(layer, head) for head in range(heads_per_layer[layer])]
        return _shuffled(heads, seed, number, taken)

    chosen: list[Head] = []
    missing: list[int] = []
    # Every layer serves its own need first, so that a neighbour's deficit cannot empty it.
    for layer in layers:
        wanted = sum(at == layer for at, _ in taken)
        if wanted:
            chosen += [free(layer).pop() for _ in range(min(wanted, len(free(layer))))]
        missing += [layer] * (wanted - sum(at == layer for at, _ in chosen))
    for layer in missing:
        nearest = min(
            (other for other in layers if free(other)),
            key=lambda other: (abs(other - layer), other),
            default=None,
        )
        if nearest is not None:
            chosen.append(free(nearest).pop())
    return sorted(chosen)


def beside_in_words(heads: Sequence[Head], draws: Sequence[Sequence[Head]]) -> str:
    """What draws of :func:`heads_like` are beside ``heads``: as many, of the same layers, or not.

    All draws have as many heads of every layer, whatever the dice.
    """
    wanted, drawn = (Counter(layer for layer, _ in some) for some in (set(heads), draws[0]))
    if drawn.total() < wanted.total():
        return f"{count(drawn.total(), 'head')}, all that the model has beside them,"
    words = "as many random heads of the same layers"
    if elsewhere := (drawn - wanted).total():
        words += f" ({elsewhere:,} of them of other layers, where those have too few)"
    return words


def _shuffled(
    heads: list[Head], seed: int, number: int, taken: set[Head], domain: str = "control-heads"
) -> list[Head]:
    names = [f"{layer}.{head}" for layer, head in heads]
    keys = hash64(seed, f"{domain}-{number}", names)
    order = np.argsort(keys, kind="stable")
    return [heads[i] for i in order if heads[i] not in taken]


def require_enough(rows: int, limit: int) -> None:
    """Raise UserError where so few of ``rows`` are to carry controls that none might."""
    if 0 < limit < min(rows, LEAST_LIMIT):
        raise UserError(
            f"--controls {limit}: these rows are chosen by hash, which may leave none of so few: "
            f"give {LEAST_LIMIT} or more, or 0 for none"
        )


def control_share(rows: int, limit: int = LIMIT) -> float:
    """Share of ``rows`` that carries controls: 1 up to the limit, else five standard deviations
    under it, so that a draw by hash stays within the limit without being counted."""
    if rows <= limit:
        return 1.0
    return max(0.0, limit - 5 * math.sqrt(limit)) / rows


def draws_carried(seed: int, ids: Iterable[str], share: float, further_share: float) -> Ints:
    """(B,) how many draws each sample carries: a property of the id, whatever the sharding.

    A ``share`` of the samples carries the first draws, ``further_share`` (of all, inside it) every
    draw, the others none.
    """
    chance = uniforms(seed, "control-subsample", ids)
    first = np.where(chance < share, FIRST_DRAWS, 0)
    return np.where(chance < further_share, DRAWS, first)
