"""Is one arm better than another? Paired differences over training seeds and held-out items.

Both seeds and items are samples of what could have been: d_si = loss of the one arm less that of
the other, trained with seed s, on item i. With the mean squares of seeds, items and residual of
this two-way table (Cornfield and Tukey 1956), the variance of the mean difference over new seeds
*and* new items is

    (MS_seeds + MS_items - MS_residual) / (S · I),

never less than MS_items / (S·I) alone. Of it (MS_items - MS_residual) / (S · I) is the items' own,
whatever the seeds; the rest falls as 1/S. Each part has a Student's t of its own, S - 1 and I - 1
degrees of freedom, and the half widths are added in squares (Howe 1974). One t on Satterthwaite's
degrees of freedom is too narrow: of three seeds that happen to agree it makes many. Simulated
without a difference, it finds one with 3 seeds up to 8 of 100 times at 5 % and 3 at 1 %, with 2
seeds 13 and 9; this way it is at most 6 and 2 (tests/training/test_effects.py), with 2 seeds mostly
none. With one seed the spread over seeds is unknown, and the interval is of items alone, which the
caller has to say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from circuitseer_core.aliases import Floats

POWER = 0.8
MOST_SEEDS = 1000
"""More are not looked for."""
_LEAST = -60.0
"""Logarithm of the smallest chance that is told apart."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference with its interval, in the units of the table.

    ``p``: two-sided, of no difference. ``seed_sd``, ``item_sd``: spread of the difference over
    seeds (None from one seed) and over items. ``of_items``: the part of ``stderr``² that more seeds
    leave as it is, and ``items_stderr`` its root; ``of_a_seed``: S times the other part (None from
    one seed).
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int
    items: int
    seed_sd: float | None
    item_sd: float
    stderr: float
    of_items: float
    of_a_seed: float | None

    @property
    def items_stderr(self) -> float:
        """Standard error over items alone, with however many seeds."""
        return float(np.sqrt(self.of_items))

    def reach(self, tail: float, seeds: int | None = None) -> float:
        """What the mean passes with the chance ``tail`` where there is no difference; ``seeds``:
        with so many in place of its own."""
        seeds = self.seeds if seeds is None else seeds
        squares = self.of_items * float(stdtrit(self.items - 1, tail)) ** 2
        if self.of_a_seed is not None:
            squares += self.of_a_seed / seeds * float(stdtrit(seeds - 1, tail)) ** 2
        return float(np.sqrt(squares))


def difference(table: Floats, level: float = 0.95) -> Difference:
    """The mean of d (S seeds, I items), with its interval over new seeds and new items.

    Raises:
        ValueError: fewer than 2 items.
    """
    seeds, items = table.shape
    if items < 2:
        raise ValueError("a difference needs at least 2 items")
    mean = float(table.mean())
    by_item, by_seed = table.mean(axis=0), table.mean(axis=1)
    ms_items = seeds * float(by_item.var(ddof=1))
    if seeds == 1:
        of_items, of_a_seed, seed_sd = ms_items / items, None, None
    else:
        ms_seeds = items * float(by_seed.var(ddof=1))
        rest = table - by_item[None, :] - by_seed[:, None] + mean
        ms_rest = float((rest**2).sum()) / ((seeds - 1) * (items - 1))
        variance = max(ms_seeds + ms_items - ms_rest, ms_items) / (seeds * items)
        seed_sd = float(np.sqrt(max(0.0, ms_seeds - ms_rest) / items))
        of_items = max(0.0, ms_items - ms_rest) / (seeds * items)
        of_a_seed = seeds * (variance - of_items)
    error = float(np.sqrt(of_items + (of_a_seed or 0.0) / seeds))
    item_sd = float(by_item.std(ddof=1))
    gap = Difference(
        mean, mean, mean, 1.0, seeds, items, seed_sd, item_sd, error, of_items, of_a_seed
    )
    reach = gap.reach((1 - level) / 2)
    return replace(gap, low=mean - reach, high=mean + reach, p=chance_of(gap))


def chance_of(gap: Difference) -> float:
    """The two-sided chance at which the interval just ends at 0."""
    if gap.mean == 0 or gap.stderr == 0:
        return float(gap.mean == 0)

    def over(logarithm: float) -> float:
        return gap.reach(float(np.exp(logarithm)) / 2) - abs(gap.mean)

    return float(np.exp(brentq(over, _LEAST, 0.0) if over(_LEAST) > 0 else _LEAST))


def seeds_to_see(difference: Difference, size: float, level: float = 0.95) -> int | None:
    """How many seeds show a true difference of ``size`` with 80 % power, on as many items.

    None where the items' own spread hides it whatever the seeds, or from one seed.
    """
    if difference.of_a_seed is None or seen_at_best(difference, level) > size:
        return None
    for seeds in range(2, MOST_SEEDS + 1):
        if _shown(difference, level, seeds) <= size:
            return seeds
    return None


def seen(difference: Difference, level: float = 0.95) -> float:
    """The least true difference that these seeds and items show with 80 % power."""
    return _shown(difference, level, difference.seeds)


def seen_at_best(difference: Difference, level: float = 0.95) -> float:
    """The same with however many seeds, on these items."""
    return _shown(replace(difference, of_a_seed=None), level, difference.seeds)


def _shown(difference: Difference, level: float, seeds: int) -> float:
    """What has to be there to be beyond the interval so often."""
    return difference.reach((1 - level) / 2, seeds) + difference.reach(1 - POWER, seeds)
