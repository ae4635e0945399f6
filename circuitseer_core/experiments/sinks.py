"""How much of its attention does each head leave on the first token?

Most heads of a language model park attention on the first token, whatever it says: a sink. Uniform
ablation takes that away too, so a head may matter much for where it does *not* look. On a part of
the scored samples every head of the model is observed, and its share on the first token is the
mean over queries and samples: m_0 of the head's own profile.

Two things follow. The verdict says how the reasoning heads compare with the others, with an
interval over the samples; and the Spearman of importance with the sink share, with its interval
over the heads, says whether importance goes with being a sink, or with not being one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from circuitseer_core import limits
from circuitseer_core.aliases import Floats, Head
from circuitseer_core.correlation import correlation, ranks
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.distributions import spearman95
from circuitseer_core.errors import UserError
from circuitseer_core.experiments.cost import forward_seconds, mean_tokens
from circuitseer_core.experiments.experiment import (
    ExperimentOptions,
    ExperimentResult,
    ModelDevice,
)
from circuitseer_core.experiments.head_resampling import BATCH_TOKENS, scored_texts
from circuitseer_core.experiments.held_out import run_model
from circuitseer_core.experiments.intervals import of_mean
from circuitseer_core.experiments.kept_parts import KeptParts
from circuitseer_core.runs.experiment_records import Outcome, Plot
from circuitseer_core.runs.folder import Run
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.wording import count, percent, signed

NAME = "sinks"


class Options(ExperimentOptions):
    """Options of ``validate sinks``."""

    scores: str = Field("default", description="the scoring whose texts and heads are meant")
    rows: int = Field(100, ge=2, description="scored samples to observe, by hash")
    device: ModelDevice = "auto"
    seed: int = Field(0, description="seed of the choice of samples")


def run(run: Run, **options: Any) -> ExperimentResult:
    """See the head of this module. Goes on where an earlier try stopped.

    Raises:
        UserError: no scores or texts, or the model cannot be loaded.
    """
    chosen = Options.of(**options)
    ids, texts = scored_texts(run, chosen.scores, chosen.rows, chosen.seed)
    heads, shares = _observed(run, texts, chosen)
    facts = Evidence(run, chosen.scores)
    reasoning = set(facts.chosen or select_heads(run.heads()))
    table = pd.DataFrame(heads, columns=["layer", "head"])
    table["sink_share"] = shares.mean(axis=0)
    table["sink_share_sd"] = shares.std(axis=0, ddof=1)
    table["reasoning"] = [head in reasoning for head in heads]
    known = run.heads()[["layer", "head", "importance"]]
    table = table.merge(known, on=["layer", "head"], how="left")
    table = table.sort_values("importance", ascending=False, ignore_index=True)
    table["kind"] = np.where(table["reasoning"], "reasoning heads", "other heads")
    table["name"] = [f"{a}.{b}" for a, b in zip(table["layer"], table["head"], strict=True)]
    own = np.array([head in reasoning for head in heads])
    gap = of_mean(shares[:, own].mean(axis=1) - shares[:, ~own].mean(axis=1))
    numbers = summary(table) | {"rows": len(ids), "gap": [gap.estimate, gap.low, gap.high]}
    title = "How much of its attention does each head leave on the first token?"
    return ExperimentResult(
        NAME, title, _verdict(numbers), numbers, table, outcome(numbers), _PLOTS
    )


_PLOTS = (
    Plot(
        kind="points", x="sink_share", y="importance", group="kind", label="name",
        x_title="share of attention on the first token", y_title="importance (nats)",
        caption="Importance of every head against the attention that it leaves on the first token.",
    ),
)  # fmt: skip


def estimated_seconds(run: Run, **options: Any) -> float:
    """About what it takes: every head of the model is observed, which costs another pass."""
    chosen = Options.of(**options)
    run.heads()
    return forward_seconds(run, 2 * chosen.rows * mean_tokens(run, chosen.scores))


def _observed(run: Run, texts: list[str], options: Options) -> tuple[list[Head], Floats]:
    """All heads, and (samples, heads) their share on the first token."""
    import torch

    from circuitseer_core.model.batches import group_by_tokens, pad
    from circuitseer_core.model.encoding import default_max_length, encode_texts
    from circuitseer_core.model.memory import in_halves
    from circuitseer_core.runs.progress import Progress
    from circuitseer_core.scoring.profiles import HeadPlan, observe

    reference = run_model(run, "run", options.device)
    longest = default_max_length(reference.max_positions, run.scoring(options.scores).max_length)
    encoded = [text.ids for text in encode_texts(reference.tokenizer, texts, longest)]
    heads = reference.heads
    plan = HeadPlan([[head] for head in heads], reference.device)
    kept = KeptParts(run, NAME, str(reference.dtype), encoded)

    def on_first_token(group: Sequence[int]) -> Floats:
        batch = [encoded[i] for i in group]
        lengths = torch.tensor([len(ids) for ids in batch], device=reference.device)
        profiles = observe(reference, pad(batch, reference.device), lengths, plan)
        return profiles.observed[..., 0].cpu().numpy()

    def measured(group: Sequence[int]) -> Floats:
        parts = in_halves(group, on_first_token, reference.device, lambda i: len(encoded[i]))
        return np.concatenate([own for _, own in parts])

    with Progress(run, NAME, len(encoded), unit="samples", phase="Observing all heads") as progress:
        groups = group_by_tokens([len(ids) for ids in encoded], BATCH_TOKENS)
        shares = kept.by_groups(groups, measured, progress)
    usable = np.isfinite(shares).all(axis=1)
    if usable.sum() < 2:
        raise UserError("the model's attention is not finite on these samples")
    return heads, shares[usable]


def summary(table: pd.DataFrame) -> dict[str, Any]:
    """The verdict's numbers from layer, head, sink_share, reasoning, importance."""
    own, others = (table.loc[table["reasoning"] == which, "sink_share"] for which in (True, False))
    measured = table.dropna(subset="importance")
    best = table.iloc[0]
    rho = correlation(
        ranks(measured["importance"].to_numpy()), ranks(measured["sink_share"].to_numpy())
    )
    return {
        "heads": len(own),
        "reasoning": float(own.mean()),
        "others": float(others.mean()),
        "mostly_sink": int(own.map(limits.mostly_sink).sum()),
        "others_mostly_sink": float(others.map(limits.mostly_sink).mean()),
        "strongest": [int(best["layer"]), int(best["head"])],
        "strongest_share": float(best["sink_share"]),
        "spearman": rho,
        "spearman_interval": list(spearman95(rho, len(measured))),
    }


def outcome(numbers: dict[str, Any]) -> Outcome:
    """Whether importance goes with the attention that a head leaves on the first token."""
    return Outcome.judge(
        "Spearman of importance with the share of attention on the first token",
        numbers["spearman"], *numbers["spearman_interval"],
        relevant=limits.CORRELATION, side="either",
    )  # fmt: skip


def _verdict(numbers: dict[str, Any]) -> str:
    layer, head = numbers["strongest"]
    return (
        f"On {count(numbers['rows'], 'sample')} the reasoning heads leave "
        f"{percent(numbers['reasoning'])} of their attention on the first token, the other heads "
        f"{percent(numbers['others'])} (difference {_points(numbers['gap'])} points over the "
        f"samples); {numbers['mostly_sink']} of {count(numbers['heads'], 'reasoning head')} "
        f"{'leaves' if numbers['mostly_sink'] == 1 else 'leave'} more than {percent(limits.SINK)} "
        "there "
        f"({percent(numbers['others_mostly_sink'])} of the others). The strongest head, "
        f"({layer},{head}), leaves {percent(numbers['strongest_share'])} there. Spearman of "
        f"importance with this share over all heads: {signed(numbers['spearman'])} "
        f"(95 % interval {' to '.join(signed(end) for end in numbers['spearman_interval'])})."
    )


def _points(gap: list[float]) -> str:
    """ "−4 (−5 to −3)": a difference of shares with its interval."""
    estimate, low, high = (signed(100 * value, 0) for value in gap)
    return f"{estimate} ({low} to {high})"
