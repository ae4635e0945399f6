"""Scoring on many machines: Ray Data drives the scorer of window_scorer.py.

1. The driver counts the windows and sees which have no shard yet.
2. One task, on the driver's machine, streams those windows (windows.py); tokenising is a task of
   its own; a pool of actors, one GPU each, scores them.
3. Finished shards come back to the driver, which writes them: no shared file system is needed.

Windows, token budget and scorer are those of the local engine, so the numbers are the same. Ray
restarts an actor that dies and gives its window to another.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.errors import UserError, one_line
from circuitseer_core.model.loading import load_run_model, load_tokenizer, pickle_allowed
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import Progress
from circuitseer_core.runs.records import ModelRecord, ScoringRecord
from circuitseer_core.scoring.encoded_window import EncodedWindow, encode_window
from circuitseer_core.scoring.engine import ModelFacts, ShardWorker, shard_plan
from circuitseer_core.scoring.growth import in_order
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.scoring.shard_book import ShardBook
from circuitseer_core.scoring.shard_plan import ShardPlan
from circuitseer_core.scoring.shard_writer import ShardWriter, ready
from circuitseer_core.scoring.shards import Note
from circuitseer_core.scoring.sizing import Speed
from circuitseer_core.scoring.windows import Cut, Window, windows

Row = dict[str, Any]
IN_FLIGHT = 2
"""Windows given to an actor at a time: one in the model, one waiting."""


class RayEngine:
    """The engine behind ``--engine ray``. Raises UserError where the cluster cannot be reached."""

    def __init__(self, run: Run, settings: ScoreSettings) -> None:
        self.run_folder, self.settings = run, settings
        if not ray.is_initialized():
            _connect(settings.ray_address)
        self._resources = {"num_gpus": 1} if _gpus() else {"num_cpus": 1}
        self._worker: Any = None

    def facts(self) -> ModelFacts:
        """What the loaded model says, on a worker: the driver may have no GPU."""
        facts: ModelFacts = _get(self._first_worker().facts.remote(self.settings.max_length))
        return facts

    def speed(self, window: Window, plan: ShardPlan, cut: Cut) -> Speed | None:
        """What the model does with these rows, on a worker; actors with a GPU each are counted."""
        speed: Speed | None = _get(self._first_worker().speed.remote(window, plan, cut))
        return speed and replace(speed, devices=max(1, _gpus()))

    def run(self, book: ShardBook, progress: Progress) -> None:
        """Do what the book has to do, on all actors at once."""
        todo: set[int] = set()
        for window in book.to_do(progress.skip):
            if book.token_budget is None:
                progress.say("finding the batch size")
                budget = _get(self._first_worker().budget.remote(window, shard_plan(book)))
                if budget is not None:
                    book.pin_budget(budget)
            todo.add(window.index)
        self.close()  # the first worker's GPU is wanted
        if not todo:
            return
        try:
            with ShardWriter(book) as writer:
                for row in self._rows(book, todo):
                    table, note = _unpack(row)
                    writer.add(ready(table, note))
                    book.lower_budget(note.token_budget)
                    progress.advance(note.entries)
        except ray.exceptions.RayError as error:
            raise _plain(error) from error

    def close(self) -> None:
        """End the first worker; the actors have ended with their work."""
        if self._worker is not None:
            ray.kill(self._worker)
            self._worker = None

    def _first_worker(self) -> Any:
        if self._worker is None:
            worker = ray.remote(_Worker).options(**self._resources)
            options = self.settings
            run = self.run_folder
            self._worker = worker.remote(
                run.model,
                run.detection.template,
                options.dtype,
                options.device,
                os.getcwd(),
                options.allow_pickle,
            )
        return self._worker

    def _rows(self, book: ShardBook, todo: set[int]) -> Iterator[Row]:
        """Scored windows in the order in which they are done, one row each."""
        context = ray.data.DataContext.get_current()
        context.target_max_block_size = 1  # one window a block: the unit of work and of retrying
        context.enable_progress_bars = False  # progress is told by the driver
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        plan, actors = shard_plan(book), min(_workers(), len(todo))
        source = _WindowSource(self.settings, book.record, book.cut, todo, os.getcwd())
        here = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        read = ray.data.read_datasource(
            source, override_num_blocks=1, num_cpus=0, label_selector=here
        )
        model = self.run_folder.model
        encoded = read.map_batches(
            _encode,
            fn_args=(model.id, model.revision, plan.text, plan.max_length),
            batch_size=1,
            compute=ray.data.TaskPoolStrategy(size=actors),
            num_cpus=0,  # where actors hold all CPUs, tokenising must not wait for them
        )
        settings = self.settings
        scored = encoded.map_batches(
            RayScorer,
            fn_constructor_args=(
                model,
                settings.dtype,
                settings.device,
                plan,
                os.getcwd(),
                settings.allow_pickle,
            ),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                size=actors, max_tasks_in_flight_per_actor=IN_FLIGHT
            ),
            **self._resources,
        )
        yield from scored.iter_rows()


class RayScorer:
    """One actor: the run's model on one device, fed windows."""

    def __init__(
        self,
        model: ModelRecord,
        dtype: str,
        device: str,
        plan: ShardPlan,
        cwd: str,
        allow_pickle: bool,
    ) -> None:
        from circuitseer_core.scoring.window_scorer import WindowScorer

        _enter(cwd)
        with pickle_allowed(allow_pickle):  # the driver's environment is another machine's
            self.scorer = WindowScorer(load_run_model(model, dtype, device), plan)

    def __call__(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """One window in (``window``: a pickled EncodedWindow), one shard out."""
        # What this very program put in, in another of its processes.
        encoded: EncodedWindow = pickle.loads(batch["window"][0])  # noqa: S301
        table, note = self.scorer.score(encoded)
        return {"table": [_table_bytes(table)], "note": [json.dumps(asdict(note))]}


class _Worker(ShardWorker):
    """Answers what only a loaded model knows, before the pool of actors is there."""

    def __init__(
        self,
        model: ModelRecord,
        template: str | None,
        dtype: str,
        device: str,
        cwd: str,
        allow_pickle: bool,
    ) -> None:
        _enter(cwd)
        with pickle_allowed(allow_pickle):
            super().__init__(model, template, dtype, device)


class _WindowSource(Datasource):
    """The windows that are to be scored, as a Ray datasource: one task that streams them."""

    def __init__(
        self, settings: ScoreSettings, record: ScoringRecord, cut: Cut, todo: set[int], cwd: str
    ) -> None:
        super().__init__()
        self.settings, self.record, self.cut = settings, record, cut
        self.todo, self.cwd = todo, cwd

    def estimate_inmemory_data_size(self) -> int | None:
        """Not known beforehand."""
        return None

    def get_read_tasks(self, parallelism: int, *args: Any, **kwargs: Any) -> list[ReadTask]:
        """A single task: the stream has one order."""
        metadata = BlockMetadata(num_rows=None, size_bytes=None, exec_stats=None)
        return [ReadTask(self._blocks, metadata)]

    def _blocks(self) -> Iterator[pa.Table]:
        _enter(self.cwd)
        corpus = Corpus(self.settings.data, Fields.of(self.settings))
        in_order(corpus, self.record)
        for window in windows(corpus, self.cut):
            if window.index in self.todo:
                yield pa.table({"window": pa.array([pickle.dumps(window)], pa.binary())})


def _encode(
    batch: Mapping[str, Any], model: str, revision: str | None, text: ScoredPart, max_length: int
) -> Mapping[str, Any]:
    """Tokenise one window."""
    window: Window = pickle.loads(batch["window"][0])  # noqa: S301 (as above)
    encoded = encode_window(_tokenizer(model, revision), window, text, max_length)
    return {"window": [pickle.dumps(encoded)]}


@lru_cache(maxsize=1)
def _tokenizer(model: str, revision: str | None) -> Any:
    return load_tokenizer(model, revision)[0]


def _connect(address: str | None) -> None:
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = address or "this machine"
        raise UserError(f"Ray at {where} cannot be reached: {one_line(error)}") from error


def _gpus() -> int:
    return int(ray.cluster_resources().get("GPU", 0))


def _workers() -> int:
    """Actors: one a GPU, else one a CPU of the cluster."""
    return _gpus() or max(1, int(ray.cluster_resources().get("CPU", 1)))


def _enter(cwd: str) -> None:
    """Work where the driver works, so that relative paths mean the same; elsewhere stay put."""
    if Path(cwd).is_dir():
        os.chdir(cwd)


def _get(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayError as error:
        raise _plain(error) from error


def _plain(error: BaseException) -> UserError:
    """The one line a worker meant for a person, or the first line of what went wrong."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, UserError):
            return UserError(str(inner).splitlines()[-1])
        inner = getattr(inner, "cause", None) or inner.__cause__
    line = str(error).strip().splitlines()[-1]
    return UserError(f"Ray: {line[:300]}; run again to go on")


def _table_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _unpack(row: Row) -> tuple[pa.Table, Note]:
    with pa.ipc.open_stream(row["table"]) as reader:
        table = reader.read_all()
    note = json.loads(row["note"])
    note["rejects"] = [tuple(reject) for reject in note["rejects"]]
    return table, Note(**note)
