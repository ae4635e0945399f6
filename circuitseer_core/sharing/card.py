"""Head maps and sets of heads in words: which model, how it was measured, how to use it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from circuitseer_core.aliases import Head
from circuitseer_core.detection.head_map import TABLE, HeadMap, Measured
from circuitseer_core.detection.heads import head_list
from circuitseer_core.distributions import t95
from circuitseer_core.export.public import without_paths
from circuitseer_core.markdown import inline
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import ModelRecord
from circuitseer_core.wording import count, plain, signed

TOP_HEADS = 10


def head_map_card(head_map: HeadMap, repo: str) -> str:
    """README.md of the repository ``repo``, Markdown with the Hub's front matter."""
    from huggingface_hub import DatasetCardData

    model, measured = head_map.record.model, head_map.record.measured
    data = DatasetCardData(
        pretty_name=f"Head map of {model.called}",
        tags=["circuitseer", "attention-heads", "interpretability"],
        configs=[{"config_name": "default", "data_files": [{"split": "heads", "path": TABLE}]}],
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# Head map of {inline(model.called)}",
        (
            f"How much the loss rises {measured.in_words} (ΔL, nats), for "
            f"{count(head_map.record.heads, 'query head')}{_raced(head_map.heads)}. Measured with "
            "CircuitSeer, an implementation of arXiv 2510.18470."
        ),
        _facts(model, measured),
        f"## The {TOP_HEADS} heads of highest ΔL\n\n"
        + _table(head_map.heads.nsmallest(TOP_HEADS, "rank")),
        (
            "## Use\n\nFor a run of the same weights:\n\n```\n"
            f"circuitseer pull-heads {repo} --run runs/new --model MODEL\n"
            "circuitseer score --run runs/new --data DATA\n```\n\n"
            "The map is of the weights whose hash stands above; of others it says nothing."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def head_set_card(run: Run, heads: Sequence[Head]) -> str:
    """A set of heads as Markdown, for a model's card or a discussion of it.

    Which heads of which weights, as ``--heads`` takes them and with their ΔL, and how they were
    measured; no path of this machine.

    Raises:
        UserError: no detection yet.
    """
    model, table, measured = public_model(run), run.heads(), Measured.of_run(run)
    rows = table.set_index(["layer", "head"]).loc[list(heads)].reset_index()
    of = f"{count(len(heads), 'head')} of the {len(table):,}"
    parts = [
        f"## {count(len(heads), 'reasoning head')} of {inline(model.called)}",
        (
            f"{of}, by how much the loss rises {measured.in_words} (ΔL, nats). Measured "
            "with CircuitSeer, an implementation of arXiv 2510.18470."
        ),
        f"```\n{head_list(heads)}\n```",
        _facts(model, measured),
        _table(rows),
    ]
    return "\n\n".join(parts) + "\n"


def _raced(heads: pd.DataFrame) -> str:
    """How many heads have nothing but a pilot's estimate."""
    raced = int(heads["raced_out"].sum()) if "raced_out" in heads else 0
    return f", {raced:,} of them raced out on a pilot and estimates only" if raced else ""


def public_model(run: Run) -> ModelRecord:
    """The run's model without this machine's folders."""
    return ModelRecord.model_validate(without_paths(run.model.to_json()))


def _facts(model: ModelRecord, measured: Measured) -> str:
    pairs = {
        "model": model.called,
        "revision": model.revision,
        "weights hash": model.weights_hash,
        "numbers": model.dtype,
        "probe samples": measured.n_probe,
        "probe chosen by": measured.probe_criterion,
        "measured": measured.mode,
        "ablation": measured.ablation,
        "epsilon": measured.epsilon or None,
        "loss over": measured.loss_tokens and f"{measured.loss_tokens} tokens",
        "noise floor": measured.noise_floor and f"{plain(measured.noise_floor)} nats a sample",
    }
    rows = [f"| {name} | {inline(value)} |" for name, value in pairs.items() if value is not None]
    return "| | |\n|---|---|\n" + "\n".join(rows)


def _table(heads: pd.DataFrame) -> str:
    """Heads as a table; one that was raced out has an estimate and no rank."""
    lines = ["| rank | layer | head | ΔL | 95 % interval | samples |", "|---|---|---|---|---|---|"]
    for row in heads.itertuples():
        half = float(t95(row.n)) * row.stderr
        interval = "n/a"
        if half == half:
            interval = f"{signed(row.importance - half, 3)} to {signed(row.importance + half, 3)}"
        lines.append(
            f"| {row.rank} | {row.layer} | {row.head} | {signed(row.importance, 3)} | {interval} "
            f"| {row.n} |"
        )
    return "\n".join(lines)
