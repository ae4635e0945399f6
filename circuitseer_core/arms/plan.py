"""The arms of a comparison, each as the settings of one selection.

| arm | draw | what it asks |
|---|---|---|
| soft | p ∝ score^(1/τ) | the method |
| top-k | highest scores | does soft beat hard? |
| bottom-k | lowest scores | does the score's direction matter? |
| uniform | uniform | does any of it beat chance? |
| length-matched | uniform, with the soft draw's lengths | is it more than length? |
| longest | longest texts | the same, from the other side |
| random-heads | p ∝ the same score from random heads of the same layers | is it these heads? |
| calibrated | p ∝ the calibrated score (where applied) | does fitting every head's readings help? |
| other-scoring | p ∝ the same score of another scoring | prompts or responses? |
| ifd, perplexity | highest IFD, perplexity (where scored) | does it beat the known scores? |
| head-influence | highest loss without the heads relative to clean (where scored) | or its rival? |
| full | everything | does less beat all of it? |

With ``length_control`` length is taken out of the scores of all arms but those by other scores than
the one on trial (longest, ifd, perplexity, head-influence).

Draws of one seed share their noise, so arms of one seed are paired. Arms without chance are drawn
once.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from circuitseer_core.arms.kinds import ARMS, OTHER_SCORING, SEEDED, arm_label
from circuitseer_core.arms.settings import ArmsSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.columns import CALIBRATED, INFLUENCE, control_columns
from circuitseer_core.runs.folder import ARM_PREFIX
from circuitseer_core.selection.settings import SelectionSettings

_TOP_OF = {
    "longest": "length",
    "ifd": "ifd",
    "perplexity": "perplexity",
    "head-influence": INFLUENCE,
}

_BY_SCORE = ("soft", "top-k", "bottom-k", "random-heads", "calibrated", OTHER_SCORING)
"""Arms by the score on trial, or one in its place: where length is taken out, of all of these."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One subset of a comparison: its kind, its seed, and the selection that it is."""

    kind: str
    seed: int
    selection: SelectionSettings

    @property
    def label(self) -> str:
        """``soft-s0``; the kind alone for an arm without chance."""
        return arm_label(self.kind, self.seed)


def available_arms(
    scorer: str, columns: Collection[str], other_scores: str | None = None
) -> list[str]:
    """The arms that a scoring with these columns has, and another one beside it."""
    missing = {arm for arm, column in _TOP_OF.items() if column not in columns}
    if not control_columns(scorer, columns):
        missing.add("random-heads")
    if scorer == CALIBRATED or CALIBRATED not in columns:
        missing.add("calibrated")
    if other_scores is None:
        missing.add(OTHER_SCORING)
    return [arm for arm in ARMS if arm not in missing]


def plan_arms(
    settings: ArmsSettings,
    columns: Collection[str],
    budget: dict[str, int],
    pool_tokens: int,
    *,
    other_columns: Collection[str] = (),
) -> list[Arm]:
    """Every arm of every seed, those first on which others build.

    Args:
        columns: of the scoring; of random heads' only those that nearly all rows of the pool have.
        budget: ``{"tokens": n}`` or ``{"count": n}``.
        pool_tokens: of all rows that may be drawn: the budget of ``full``.
        other_columns: of the other scoring.

    Raises:
        UserError: an arm is asked for that the scoring has no column for.
    """
    have = available_arms(settings.scorer, columns, settings.other_scores)
    if missing := [name for name in settings.arms if name not in have]:
        raise UserError(
            f"scoring {settings.scores!r} has no columns for the arms {', '.join(missing)} "
            "(ifd and perplexity: score with --baselines; head-influence: score with "
            "--head-influence; calibrated: calibrate with --apply; "
            "other-scoring: --other-scores; random-heads: random heads' scores of nearly all "
            "rows, which pools of up to 20,000 have, and others with score --controls N)"
        )
    wanted = list(settings.arms or have)
    if "length-matched" in wanted and "soft" not in wanted:
        wanted.insert(0, "soft")
    if "soft" in wanted and "uniform" not in wanted:  # the floor of every overlap with soft
        wanted.append("uniform")
    plan = []
    for kind in (name for name in ARMS if name in wanted):
        seeds = range(settings.seed, settings.seed + settings.seeds)
        for seed in seeds if kind in SEEDED else [settings.seed]:
            options = _options(kind, seed, settings, columns)
            own = other_columns if kind == OTHER_SCORING else columns
            options["require_response"] = responses_known(own)
            if kind == "full":
                options["tokens"] = pool_tokens
            elif kind == OTHER_SCORING and "tokens" in budget:
                options["count"] = 1  # as many as the tokens hold: other_scoring.py
            elif kind != "length-matched":
                options |= budget
            plan.append(Arm(kind, seed, SelectionSettings.of(**options)))
    return plan


def responses_known(columns: Collection[str]) -> bool:
    """Whether a scoring with these columns says which rows have a response.

    One that does not scored the responses themselves, so each of its scored rows has one.
    """
    return "n_response_tokens" in columns


def _options(
    kind: str, seed: int, settings: ArmsSettings, columns: Collection[str]
) -> dict[str, Any]:
    """The settings of an arm's selection but for its budget."""
    options: dict[str, Any] = {
        "name": f"{ARM_PREFIX}{arm_label(kind, seed)}",
        "scores": settings.scores,
        "scorer": settings.scorer,
        "token_field": settings.token_field,
        "exclude": settings.exclude,
        "seed": seed,
        "temperature": 0.0,
    }
    if kind in _BY_SCORE:
        options["length_control"] = settings.length_control
    if kind in ("soft", "random-heads", "calibrated", OTHER_SCORING):
        options["temperature"] = settings.temperature
    if kind == "random-heads":
        controls = control_columns(settings.scorer, columns)
        options["scorer"] = controls[seed % len(controls)]
    if kind == "calibrated":
        options["scorer"] = CALIBRATED
    if kind == OTHER_SCORING:
        options["scores"] = settings.other_scores
    if kind in ("uniform", "length-matched", "full"):
        options["temperature"] = float("inf")
    if kind == "length-matched":
        options["match_lengths"] = f"{ARM_PREFIX}{arm_label('soft', seed)}"
    if kind == "bottom-k":
        options["lowest"] = True
    options["scorer"] = _TOP_OF.get(kind, options["scorer"])
    return options
