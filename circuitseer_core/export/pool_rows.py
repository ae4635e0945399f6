"""The whole scored pool as rows: every scored row in data order, with every score."""

from __future__ import annotations

from circuitseer_core.errors import UserError
from circuitseer_core.export.formats import Format
from circuitseer_core.export.rows import ExportedRows, ready
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.texts import pool_texts


def pool_rows(run: Run, scores: str, scorers: list[str], form: Format = "jsonl") -> ExportedRows:
    """Rows of a scoring, each with id, source, n_tokens and these scores.

    Numbers are held in memory, texts a shard at a time.

    Raises:
        UserError: no such scoring, a damaged shard, a score that is not there, texts are not at
            hand, or the format needs responses and no row has one.
    """
    run.whole_score_parts(scores)
    group = ("id", "source", "n_tokens", *scorers)
    return ready(run.scores(scores, list(group)), lambda: pool_texts(run, scores), form, group)


def finished_scorers(run: Run, scores: str) -> list[str]:
    """The scores that every row of a finished scoring has. Raises UserError where it is not."""
    scoring = run.scoring(scores)
    if scoring.state != "done":
        raise UserError(f"scoring {scores!r} is not finished: run score --run {run.path} again")
    return list(scoring.scorers)
