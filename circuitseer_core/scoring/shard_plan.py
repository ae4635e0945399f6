"""What the scorer of a shard is told, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from circuitseer_core.aliases import Head
from circuitseer_core.data.sample import ScoredPart


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """All that a scorer needs to know besides the model; plain values, so it travels.

    control_share, further_share: see ``draws_carried``. template: of the baselines, ``chat`` or
    ``plain``; None for no baselines.
    feature_heads: read one by one (head_features.py), on ``feature_share`` of the samples.
    influence: whether the heads' influence on the loss is computed too; influence_controls: also
    the random heads'.
    """

    heads: list[Head]
    control_heads: list[list[Head]]
    control_share: float
    further_share: float
    text: ScoredPart
    max_length: int
    token_budget: int
    seed: int
    template: str | None
    settings_hash: str
    feature_heads: list[Head] = field(default_factory=list)
    feature_share: float = 0.0
    influence: bool = False
    influence_controls: bool = False
