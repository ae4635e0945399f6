"""The card of a shared head map: which model, how it was measured, how to use it."""

from __future__ import annotations

from huggingface_hub import DatasetCardData

from circuitseer_core.detection.head_map import TABLE, HeadMap
from circuitseer_core.distributions import t95
from circuitseer_core.wording import count, plain, signed

TOP_HEADS = 10


def head_map_card(head_map: HeadMap, repo: str) -> str:
    """README.md of the repository ``repo``, Markdown with the Hub's front matter."""
    model = head_map.record.model
    data = DatasetCardData(
        pretty_name=f"Head map of {model.called}",
        tags=["circuitseer", "attention-heads", "interpretability"],
        configs=[{"config_name": "default", "data_files": [{"split": "heads", "path": TABLE}]}],
    )
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# Head map of {_cell(model.called)}",
        (
            "How much the loss rises when one attention head attends to everything alike (ΔL, "
            f"nats), for every one of {count(head_map.record.heads, 'query head')}. Measured with "
            "CircuitSeer, an implementation of arXiv 2510.18470."
        ),
        _facts(head_map),
        f"## The {TOP_HEADS} heads of highest ΔL\n\n" + _top(head_map),
        (
            "## Use\n\nFor a run of the same weights:\n\n```\n"
            f"circuitseer pull-heads {repo} --run runs/new --model MODEL\n"
            "circuitseer score --run runs/new --data DATA\n```\n\n"
            "The map is of the weights whose hash stands above; of others it says nothing."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def _facts(head_map: HeadMap) -> str:
    model, measured = head_map.record.model, head_map.record.measured
    pairs = {
        "model": model.called,
        "revision": model.revision,
        "weights hash": model.weights_hash,
        "numbers": model.dtype,
        "probe samples": measured.n_probe,
        "probe chosen by": measured.probe_criterion,
        "measured": measured.mode,
        "ablation": measured.ablation,
        "loss over": measured.loss_tokens and f"{measured.loss_tokens} tokens",
        "noise floor": measured.noise_floor and f"{plain(measured.noise_floor)} nats a sample",
    }
    rows = [f"| {name} | {_cell(value)} |" for name, value in pairs.items() if value is not None]
    return "| | |\n|---|---|\n" + "\n".join(rows)


def _top(head_map: HeadMap) -> str:
    lines = ["| rank | layer | head | ΔL | 95 % interval | samples |", "|---|---|---|---|---|---|"]
    for row in head_map.heads.nsmallest(TOP_HEADS, "rank").itertuples():
        half = float(t95(row.n)) * row.stderr
        interval = "n/a"
        if half == half:
            interval = f"{signed(row.importance - half, 3)} to {signed(row.importance + half, 3)}"
        lines.append(
            f"| {row.rank} | {row.layer} | {row.head} | {signed(row.importance, 3)} | {interval} "
            f"| {row.n} |"
        )
    return "\n".join(lines)


def _cell(value: object) -> str:
    """A value in a table of Markdown."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")
