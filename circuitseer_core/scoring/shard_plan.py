"""What the scorer of a shard is told, wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from circuitseer_core.aliases import Head
from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.runs.records import ScoringRecord


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


def plan_of(record: ScoringRecord, settings_hash: str = "") -> ShardPlan:
    """What a scorer is told by settings.json; ``settings_hash``: what its shards will carry."""
    return ShardPlan(
        heads=record.heads,
        control_heads=record.control_heads,
        control_share=record.control_share,
        further_share=record.further_share,
        text=record.text,
        max_length=record.max_length or 1,
        token_budget=record.token_budget or 1,
        seed=record.seed,
        template=record.template,
        influence=record.head_influence,
        influence_controls=record.head_influence_controls,
        settings_hash=settings_hash,
        feature_heads=record.feature_heads,
        feature_share=record.feature_share,
    )
