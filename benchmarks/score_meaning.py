"""What the scores follow, on real data: length, worked steps, and what random heads give as well.

    python benchmarks/score_meaning.py --run RUN --data gsm8k=gsm8k.jsonl --data svamp=svamp.jsonl …

RUN needs a finished detect stage. The data is scored under the name ``meaning`` (or taken from
there), the experiment ``length`` is run on it with the count of ``<<`` in the response as worked
steps, and docs/what-the-scores-say.md is written: tables, command and date, whatever they say.
"""

from __future__ import annotations

import argparse
import math
import shlex
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "what-the-scores-say.md"
sys.path.insert(0, str(ROOT))

import pandas as pd

from circuitseer_core.experiments import length
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.records import ScoringRecord
from circuitseer_core.scoring.score import score
from circuitseer_core.scoring.settings import ScoreSettings

NAME = "meaning"
STEPS = "<<"
LEGEND = (
    "*Random heads* are the mean over {draws} draws of as many heads from the same layers, with "
    "its 95 % interval over the draws. *At fixed length* is the partial rank correlation, length "
    f"taken out. *Steps* counts `{STEPS}` in the response."
)
COLUMNS = {
    "rows": "rows",
    "length": "with tokens",
    "control_length": "same, random heads",
    "reference": "with steps",
    "reference_at_length": "with steps at fixed length",
    "control_reference_at_length": "same, random heads",
    "control": "with random heads' score",
}


def main() -> None:
    """Score, correlate, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--run", required=True, type=Path)
    parser.add_argument("--data", required=True, action="append", help="name=file, repeatable")
    parser.add_argument("--steps-source", help="the source whose responses mark steps with <<")
    parser.add_argument("--baselines", action="store_true", help="perplexity and IFD too")
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    run = Run.open(options.run)
    asked = ScoreSettings(data=options.data, name=NAME, baselines=options.baselines)
    settings = score(run, asked)
    result = length.run(run, scores=NAME, count=STEPS)
    scores = run.scores(NAME)
    text = page(result.table, settings, scores, options.data, options.steps_source)
    options.out.parent.mkdir(exist_ok=True)
    options.out.write_text(text, encoding="utf-8")
    print(text)


def page(
    table: pd.DataFrame,
    settings: ScoringRecord,
    scores: pd.DataFrame,
    data: list[str],
    steps_source: str | None,
) -> str:
    """The whole document."""
    model = settings.model
    assert model is not None, "a scoring names its model"
    files = [f"{name}={Path(path).name}" for name, _, path in (d.partition("=") for d in data)]
    data_words = [word for file in files for word in ("--data", file)]
    command = shlex.join(
        ["python", "benchmarks/score_meaning.py", "--run", "RUN", *data_words]
        + (["--steps-source", steps_source] if steps_source else [])
        + (["--baselines"] if settings.baselines else [])
    )
    heads = ", ".join(f"{layer}.{head}" for layer, head in settings.heads)
    sources = [s for s in table["source"].unique() if s != "all"]
    lines = [
        "# What the scores say",
        "",
        "Rank correlations (Spearman) of every scorer, measured; no claim is made beyond them.",
        "",
        f"- Model: {model.called}, {model.dtype}; {len(settings.heads)} heads: {heads}.",
        f"- Data: {settings.rows:,} prompts: {_counts(scores)}.",
        f"- Tokens of a prompt: {_quartiles(scores)}.",
        f"- {now()[:10]}, `{command}`",
        "",
        LEGEND.replace("{draws}", f"{int(table['draws'].max())}"),
        "",
        "## All data",
        "",
        *_markdown(
            table[table["source"] == "all"], ("rows", "length", "control_length", "control")
        ),
    ]
    if steps_source:
        rows = table[table["source"] == steps_source]
        lines += ["", f"## Worked steps ({steps_source})", "", *_markdown(rows, tuple(COLUMNS))]
    lines += ["", "## By source", ""]
    for source in sources:
        rows = table[table["source"] == source]
        lines += [f"### {source}", ""]
        lines += [*_markdown(rows, ("rows", "length", "control_length", "control")), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    known = [name for name in columns if name in rows]
    lines = ["| scorer | " + " | ".join(COLUMNS[name] for name in known) + " |"]
    lines.append("|---" * (len(known) + 1) + "|")
    for row in rows.to_dict("records"):
        cells = [_cell(name, row) for name in known]
        lines.append(f"| `{row['scorer']}` | {' | '.join(cells)} |")
    return lines


def _cell(name: str, row: dict[str, Any]) -> str:
    """A number; a mean over draws with its interval."""
    value = row[name]
    if name == "rows":
        return f"{int(value):,}"
    if not math.isfinite(value):
        return ""
    low, high = (row.get(f"{name}_{end}", math.nan) for end in ("low", "high"))
    if not name.startswith("control") or not math.isfinite(low):
        return f"{value:+.2f}"
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f})"


def _counts(scores: pd.DataFrame) -> str:
    counts = scores["source"].value_counts(sort=False)
    return ", ".join(f"{source} {count:,}" for source, count in counts.items())


def _quartiles(scores: pd.DataFrame) -> str:
    low, middle, high = scores["n_tokens"].quantile([0.25, 0.5, 0.75])
    return f"median {middle:.0f}, middle half {low:.0f} to {high:.0f}"


if __name__ == "__main__":
    main()
