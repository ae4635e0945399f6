"""``arms``: draw, export and verify every arm of a comparison at one budget.

Each arm is an ordinary selection of the run (named ``arm.…``, listed after a person's own) and an
ordinary export with manifest and card, so that ``verify`` derives it again. The budget is tokens of
prompt and response by default: with a budget of rows the arm with the longer texts would be trained
on more.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from circuitseer_core.arms.kinds import ARMS, OTHER_SCORING, arm_label
from circuitseer_core.arms.other_scoring import MOST_WITHOUT, rows_without_score, within_tokens
from circuitseer_core.arms.plan import Arm, plan_arms, responses_known
from circuitseer_core.arms.record import ARMS_FILE, ArmRecord, ArmsOptions, ArmsRecord
from circuitseer_core.arms.settings import DEFAULT_SHARE, ArmsSettings
from circuitseer_core.arms.trainers import write_trainer_settings
from circuitseer_core.errors import UserError
from circuitseer_core.export.verify import verify
from circuitseer_core.export.write import export
from circuitseer_core.files import write_text
from circuitseer_core.runs.columns import control_columns
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.stage import occupied
from circuitseer_core.selection.budgets import rows_of
from circuitseer_core.selection.draw import draw
from circuitseer_core.selection.lists import run_rules
from circuitseer_core.selection.pool import Pool, load_pool
from circuitseer_core.selection.select_run import select_run
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.spreadsheets import to_csv


def build_arms(
    run: Run,
    out: str | Path,
    settings: ArmsSettings,
    *,
    command: str | None = None,
    show: bool = True,
) -> ArmsRecord:
    """Write ``out/LABEL.jsonl`` (chat messages) for every arm, arms.json and trainers' settings.

    Raises:
        UserError: no such scoring or arm, the budget cannot be met, a chosen row has no response,
            an exported arm does not verify, or another process is at work in the run.
    """
    with occupied(run):
        return _build(run, out, settings, command, show)


def _build(
    run: Run, out: str | Path, settings: ArmsSettings, command: str | None, show: bool
) -> ArmsRecord:
    folder = Path(out)
    if folder.is_file():
        raise UserError(f"{folder} is a file: --out names a folder")
    parts = run.score_parts(settings.scores)
    if not parts:
        raise UserError(f"{run.path}: scoring {settings.scores!r} has no finished shard yet")
    pool = eligible(run, settings)
    budget = budget_of(settings, pool)
    columns, notes = columns_of_all(run, settings, pool)
    others = [] if settings.other_scores is None else run.score_parts(settings.other_scores)
    plan = plan_arms(
        settings, columns, budget, int(pool.tokens.sum()),
        other_columns=pq.read_schema(others[0]).names if others else (),
    )  # fmt: skip
    tokens = pd.Series(pool.tokens, index=pd.Index(pool.ids))
    of_others = [arm.selection for arm in plan if arm.kind == OTHER_SCORING]
    without = rows_without_score(run, of_others[0], tokens.index) if of_others else 0
    plan = [_within_budget(run, arm, tokens, budget) for arm in plan]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # before the work, not after the first arm
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    with Progress(run, "arms", len(plan), unit="arms", phase="Arms", show=show) as progress:
        records = []
        for arm in plan:
            progress.say(arm.label)
            records.append(_one(run, folder, arm, tokens))
            progress.advance(1, arm.label)
    _compare(run, settings, records)
    record = ArmsRecord(
        run=str(run.path),
        settings=ArmsOptions(**settings.model_dump()),
        budget=budget,
        pool_rows=len(pool),
        pool_tokens=int(pool.tokens.sum()),
        rows_without_other_score=without,
        notes=[] if settings.arms else notes,
        created=now(),
        command=command,
        arms=records,
    )
    record.write(folder / ARMS_FILE)
    write_settings(folder, "arms", run.path, settings, out=str(out))
    write_text(folder / "summary.csv", to_csv(summary(record)))
    write_trainer_settings(folder, record, settings.target_model or run.model.id)
    return record


def eligible(run: Run, settings: ArmsSettings) -> Pool:
    """The rows that any arm may take, with the tokens that the budget counts.

    Those with a response: an arm is written as chat messages, which need one.
    """
    columns = pq.read_schema(run.score_parts(settings.scores)[0]).names
    everything = SelectionSettings.of(
        name="arm.pool", scores=settings.scores, scorer=settings.scorer, exclude=settings.exclude,
        token_field=settings.token_field, tokens=1 << 62, temperature=float("inf"),
        require_response=responses_known(columns),
    )  # fmt: skip
    pool = load_pool(run, everything)
    return draw(pool, everything, run_rules(run, everything)).pool


def columns_of_all(run: Run, settings: ArmsSettings, pool: Pool) -> tuple[list[str], list[str]]:
    """The scoring's columns without random heads' scores that much of the pool lacks, and notes.

    Random heads are scored on a part of a large pool alone (scoring/control_heads.py): an arm by
    such a column would be drawn from that part, the others from all of the pool.
    """
    columns = pq.read_schema(run.score_parts(settings.scores)[0]).names
    names = control_columns(settings.scorer, columns)
    if not names:
        return columns, []
    known = run.scores(settings.scores, ["id", *names]).set_index("id").reindex(pool.ids)
    have = {name: int(rows) for name, rows in known[names].notna().sum().items()}
    lacking = {name for name, rows in have.items() if len(pool) - rows > MOST_WITHOUT * len(pool)}
    notes = []
    if len(lacking) == len(names):
        most = max(have.values())
        notes.append(
            f"no arm random-heads: random heads scored {most:,} of the pool's {len(pool):,} rows "
            "(score --controls N has them score more)"
        )
    return [name for name in columns if name not in lacking], notes


def budget_of(settings: ArmsSettings, pool: Pool) -> dict[str, int]:
    """The budget of every arm as an option of a selection."""
    if settings.rows is not None:
        return {"count": settings.rows}
    if settings.tokens is not None:
        return {"tokens": settings.tokens}
    return {"tokens": rows_of(settings.share or DEFAULT_SHARE, int(pool.tokens.sum()))}


def summary(record: ArmsRecord) -> pd.DataFrame:
    """One row an arm: size, lengths, overlap with the soft draw, and the share of every source."""
    rows = []
    for arm in record.arms:
        row = arm.to_json()
        shares = row.pop("sources")
        keep = {k: v for k, v in row.items() if k not in ("meaning", "selection", "sha256", "file")}
        rows.append(keep | {f"share of {name}": value for name, value in shares.items()})
    return pd.DataFrame(rows)


def _within_budget(run: Run, arm: Arm, tokens: pd.Series, budget: dict[str, int]) -> Arm:
    """The arm; that of another scoring with the rows that a budget of tokens holds."""
    if arm.kind != OTHER_SCORING or "tokens" not in budget:
        return arm
    return replace(arm, selection=within_tokens(run, arm.selection, tokens, budget["tokens"]))


def _one(run: Run, folder: Path, arm: Arm, tokens: pd.Series) -> ArmRecord:
    """Draw, export and verify one arm; ``tokens`` of every row, as the budget counts them."""
    drawn = select_run(run, arm.selection)
    done = export(run, arm.selection.name, folder / f"{arm.label}.jsonl", "messages")
    checked = verify(done.path, run.path)
    if not checked.ok:
        raise UserError(f"arm {arm.label} does not verify: {checked.messages[0]}")
    ids = run.selection_ids(arm.selection.name)
    own = tokens.reindex(ids["id"])
    by_length = arm.selection.length_control != "none"
    shares = ids["source"].value_counts(normalize=True).sort_index()
    return ArmRecord(
        label=arm.label,
        kind=arm.kind,
        seed=arm.seed,
        file=done.path.name,
        meaning=ARMS[arm.kind] + (", length taken out" if by_length else ""),
        rows=len(ids),
        tokens=int(own.sum()),
        mean_tokens=round(float(own.mean()), 2),
        median_tokens=float(own.median()),
        sources={str(name): round(float(share), 4) for name, share in shares.items()},
        selection=arm.selection.name,
        sha256=drawn.ids_hash,
    )


def _compare(run: Run, settings: ArmsSettings, records: list[ArmRecord]) -> None:
    """Fill in mean scores and overlaps with the soft draw, beside the uniform draw's."""
    scores = run.scores(settings.scores, ["id", settings.scorer]).set_index("id")[settings.scorer]
    members = {record.label: set(run.selection_ids(record.selection)["id"]) for record in records}
    for record in records:
        own = members[record.label]
        record.mean_score = float(np.nanmean(scores.reindex(list(own)).to_numpy(np.float64)))
        soft = members.get(arm_label("soft", record.seed))
        uniform = members.get(arm_label("uniform", record.seed))
        if soft is None or record.kind == "soft":
            continue
        record.shared_with_soft = len(own & soft) / len(own)
        if uniform is not None and record.kind != "uniform":
            record.shared_floor = len(uniform & soft) / len(uniform)
