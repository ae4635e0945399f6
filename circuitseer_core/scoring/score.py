"""Stage 2: score every sample by how its tokens draw the reasoning heads' attention.

1. Take the reasoning heads from heads.parquet by a rule, and random controls beside them.
2. Stream the corpus in windows; each window becomes one shard.
3. For every sample observe the heads' attention profile in one pass over the model's body
   (profiles.py), and turn it into all attention scores at once (scorers.py).
4. Write the shard, whole or not at all. What is finished is never done again.

Source: arXiv 2510.18470 (variance of the reasoning heads' attention over a sample's tokens). Memory
holds two windows and one batch, whatever the size of the dataset.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from circuitseer_core.aliases import Head
from circuitseer_core.checksums import is_damaged, is_whole
from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.detection.cost import Estimate
from circuitseer_core.detection.head_map import read_head_map, refuse_other_model
from circuitseer_core.detection.heads import select_heads
from circuitseer_core.errors import UserError
from circuitseer_core.installation import require_extra
from circuitseer_core.model.loading import pickle_allowed
from circuitseer_core.runs.columns import (
    ATTENTION_SCORERS,
    BASELINE_SCORERS,
    INFLUENCE,
    PLAIN_SCORERS,
)
from circuitseer_core.runs.commands import as_python, as_typed, step
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.machine import device_names
from circuitseer_core.runs.progress import (
    Progress,
    announce,
    print_above_bars,
    say_redone,
)
from circuitseer_core.runs.records import DataRecord, ModelRecord, ScoringRecord
from circuitseer_core.runs.settings_file import write_settings
from circuitseer_core.runs.stage import versions_with
from circuitseer_core.scoring import shards
from circuitseer_core.scoring.added_columns import drop_partial
from circuitseer_core.scoring.control_heads import (
    FURTHER_LIMIT,
    control_heads,
    control_share,
    require_enough,
)
from circuitseer_core.scoring.engine import Engine, LocalEngine, ModelFacts
from circuitseer_core.scoring.growth import grown, in_order
from circuitseer_core.scoring.head_features import feature_share
from circuitseer_core.scoring.settings import (
    SHARD_ROWS,
    ScoreSettings,
    fingerprint,
    identity,
    read_record,
    refuse_other,
)
from circuitseer_core.scoring.shard_book import ShardBook, cut_of
from circuitseer_core.scoring.shard_plan import plan_of
from circuitseer_core.scoring.sizing import SHARD_SECONDS, look
from circuitseer_core.scoring.windows import CHARS_A_TOKEN, Window
from circuitseer_core.wording import count

if TYPE_CHECKING:
    import pandas as pd

    from circuitseer_core.model.reference import ReferenceModel

__all__ = ["ScoreSettings", "score"]

FEW_ROWS = 48
"""Rows left of a scoring that goes on for which no estimate is worth its time."""


def score(
    run: Run,
    settings: ScoreSettings,
    *,
    reference: ReferenceModel | None = None,
    progress: bool = True,
) -> ScoringRecord:
    """Score a corpus into ``run.scores_dir(settings.name)``; goes on where an earlier try stopped.

    Under a finished scoring whose files are all there and unchanged, with others beside them, only
    the rows of the others are scored (growth.py). Where a shard of a finished scoring is lost, it
    is made again, and columns that were added to the scoring go (added_columns.py).

    Args:
        run: a run whose detect stage is done.
        reference: the run's model, already loaded, for use from Python, where it is; else it is
            loaded, on every device that the settings name.
        progress: show a bar.

    Returns:
        settings.json.

    Raises:
        UserError: no detect stage, other settings under this name, a model other than the run's,
            data that is missing or empty, or data of which no sample could be scored.
    """
    model = run.record.model
    if model is None or (settings.heads_from is None and not run.heads_path.is_file()):
        raise UserError(f"{run.path} has no reasoning heads yet: run detect --run {run.path}")
    heads = select_heads(_head_table(run, model, settings), settings.heads, settings.rank_by)
    announce(run, "score", "Reading the data")
    corpus = Corpus(settings.data, Fields.of(settings))
    total = corpus.count()
    folder = run.scores_dir(settings.name)
    before, wanted = _agreed(run, settings, heads, model, corpus)
    if before is not None and _is_done(folder, before):
        return before
    began = time.monotonic()
    announce(run, "score", "Loading the model")
    with (
        pickle_allowed(settings.allow_pickle),
        closing(_engine(run, settings, reference, before)) as engine,
    ):
        record = before or _new_record(settings, wanted, engine.facts(), total)
        done = None if before is None else shards.rows_noted(folder, fingerprint(before))
        if settings.shard_rows is None and total - (done or 0) > (done is not None) * FEW_ROWS:
            announce(run, "score", "Measuring the speed")
            _size_up(record, engine, corpus, total, done, progress)
        record.state = "running"
        _say_how(record, run, settings)
        rejects = folder / "rejects.parquet"
        book = ShardBook(folder, record, corpus)
        say_redone([*book.damaged, *([rejects] if is_damaged(rejects) else [])])
        write_settings(folder, "score", run.path, settings)
        with Progress(
            run, "score", total, unit="samples", show=progress, phase="Scoring samples"
        ) as shown:
            engine.run(book, shown)
    return _finish(book, time.monotonic() - began)


def _agreed(
    run: Run, settings: ScoreSettings, heads: list[Head], model: ModelRecord, corpus: Corpus
) -> tuple[ScoringRecord | None, ScoringRecord]:
    """What an earlier try left under this name, grown as the data has, and what is asked for now.

    Raises:
        UserError: they do not belong together, or head readings are asked for on too few rows.
    """
    before = read_record(run.scores_dir(settings.name))
    if before is not None:
        in_order(corpus, before)
    data = DataRecord(**corpus.fingerprint())
    wanted = identity(settings, heads, model, data, feature_heads(run, settings))
    if before is not None:
        before = grown(before, data, settings.data, settings.name, appended=corpus.appended)
        if before.data[0].sha256 == data.sha256:
            wanted.grown_from = before.grown_from
        refuse_other(before, wanted, settings)
        before = drop_partial(run, settings, before)
    elif wanted.feature_heads:
        wanted.feature_share = feature_share(corpus.count(), wanted.feature_limit or 0)
    return before, wanted


def _head_table(run: Run, model: ModelRecord, settings: ScoreSettings) -> pd.DataFrame:
    """The run's heads, or those of a map that was measured on the same model."""
    if settings.heads_from is None:
        return run.heads()
    head_map = read_head_map(settings.heads_from)
    refuse_other_model(head_map, model, force=settings.force_heads)
    return head_map.heads


def _engine(
    run: Run,
    settings: ScoreSettings,
    reference: ReferenceModel | None,
    before: ScoringRecord | None,
) -> Engine:
    """Local, on several devices, or Ray; a scoring goes on in the dtype that it was begun with."""
    if before is not None:
        settings = settings.model_copy(update={"dtype": before.dtype})
    if settings.engine == "local" and len(device_names(settings)) > 1 and reference is None:
        from circuitseer_core.scoring.device_engine import DeviceEngine

        return DeviceEngine(run, settings)
    if settings.engine == "local":
        return LocalEngine(run, settings, reference)
    require_extra("ray", "--engine ray", "ray")
    from circuitseer_core.scoring.ray_engine import RayEngine

    return RayEngine(run, settings)


def feature_heads(run: Run, settings: ScoreSettings) -> list[Head]:
    """The heads to read one by one: all of them, those that a calibration weighs, or none."""
    if settings.calibration is not None:
        return run.calibration(settings.calibration).heads_needed
    if not settings.head_features:
        return []
    counts = run.model.heads_per_layer
    return [(layer, head) for layer, n in enumerate(counts) for head in range(n)]


def _is_done(folder: Path, record: ScoringRecord) -> bool:
    """Whether a finished scoring still has all its shards."""
    if record.state != "done" or is_whole(folder / "rejects.parquet") is False:
        return False
    count = record.shards
    mark = fingerprint(record)
    whole = all(shards.finished(folder, index, mark) is not None for index in range(count))
    return whole and len(list(folder.glob("part-*.parquet"))) == count


def _new_record(
    settings: ScoreSettings, wanted: ScoringRecord, facts: ModelFacts, total: int
) -> ScoringRecord:
    """settings.json of a scoring that begins."""
    record = wanted.model_copy(deep=True)
    draws = control_heads(record.heads, facts.heads_per_layer, settings.seed)
    if record.model is not None:
        record.model.dtype, record.model.device = facts.dtype, facts.device
    record.max_length, record.dtype = facts.max_length, facts.dtype
    record.token_budget = settings.token_budget
    record.shard_rows = settings.shard_rows or SHARD_ROWS.get(facts.device, SHARD_ROWS["cuda"])
    record.control_heads = draws
    if any(draws):
        require_enough(total, settings.controls)
        record.control_share = control_share(total, settings.controls)
        record.further_share = control_share(total, min(FURTHER_LIMIT, settings.controls))
    record.template = facts.template if settings.baselines else None
    baselines = BASELINE_SCORERS if settings.baselines else ()
    influence = (INFLUENCE,) if settings.head_influence else ()
    record.scorers = [*ATTENTION_SCORERS, *PLAIN_SCORERS, *baselines, *influence]
    record.engine = settings.engine
    record.rows, record.rejected, record.seconds = 0, 0, 0.0
    record.started = now()
    return record


def _size_up(
    record: ScoringRecord,
    engine: Engine,
    corpus: Corpus,
    total: int,
    done: int | None,
    show: bool,
) -> None:
    """Measure the model on some rows: say how long it will take, and size a CPU's shards by it.

    ``done``: rows of a scoring that goes on; its shards have their size. None where it begins.
    """
    longest = CHARS_A_TOKEN * (record.max_length or 1)
    cut = replace(cut_of(record), text_chars=longest)
    left = total - (done or 0)
    seen = look(corpus, left, cut, record.seed, skip=done or 0)
    speed = engine.speed(Window(0, seen.samples, []), plan_of(record), cut)
    if speed is None:  # what is in the data is told when all of it was read
        return
    record.token_budget = record.token_budget or speed.token_budget
    if done is None and record.model is not None and record.model.device == "cpu":
        record.shard_chars = max(1, round(SHARD_SECONDS / speed.char_seconds))
        record.text_chars = longest
    seconds = seen.chars * speed.char_seconds / speed.devices
    record.estimate_s = round(record.seconds + seconds, 1)
    if show:
        more = f" of {total:,}" if done else ""
        estimate = Estimate(f"{count(left, 'row')}{more} to score", seconds, "here")
        print_above_bars(estimate.words)


def _say_how(record: ScoringRecord, run: Run, settings: ScoreSettings) -> None:
    """Keep the command with what it makes, and what makes it."""
    record.versions = versions_with(record.versions)
    record.command = as_typed(step("score", run.path, settings, always=("name",)))
    record.python = as_python("score", run.path, settings)


def _finish(book: ShardBook, seconds: float) -> ScoringRecord:
    """Gather the rejects, drop shards that are none of the data's, and sign the scoring as done."""
    shards.drop_beyond(book.folder, book.count)
    notes = shards.notes(book.folder, book.mark, book.count)
    rows, rejected, tokens, reason = shards.write_rejects(book.folder, notes)
    if rows == 0:
        raise UserError(f"no sample could be scored: all {rejected} were rejected ({reason})")
    record = book.record
    record.state, record.finished = "done", now()
    record.rows, record.rejected, record.tokens = rows, rejected, tokens
    record.shards = book.count
    record.seconds = round(record.seconds + seconds, 2)
    record.write(book.folder / "settings.json")
    return record
