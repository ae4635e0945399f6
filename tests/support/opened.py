"""Open a page of the app in Streamlit's own test runner, and fail on anything it raised."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pandas as pd
from streamlit.testing.v1 import AppTest

from circuitseer_core.runs import jobs
from circuitseer_core.runs.folder import Run
from tests.support.synthetic import Shape, make_run

APP = Path(__file__).resolve().parents[2] / "app.py"


def open_page(page: str, run: str | None = None, **params: str) -> AppTest:
    """The page after its first run, as reached by a link with these URL parameters."""
    app = AppTest.from_file(str(APP), default_timeout=240)
    if run is not None:
        app.query_params["run"] = run
    app.run()
    app.switch_page(f"pages/{page}.py")
    for name, value in params.items():
        app.query_params[name] = value
    return settled(app.run())


def into_view(app: AppTest, run: str) -> AppTest:
    """The same page with another run in view."""
    app.session_state["run_key"] = run
    app.query_params["run"] = run
    return settled(app.run())


def job_done(run: Run) -> None:
    """Wait for the run's job to end; fails, with what it wrote, where it did not end well."""
    until = time.monotonic() + 240  # machines that test are busy machines
    while jobs.status(run.path).live and time.monotonic() < until:
        time.sleep(0.2)
    assert jobs.status(run.path).state == "done", jobs.log_tail(run.path)


def settled(app: AppTest) -> AppTest:
    """The same app, once nothing it raised was found."""
    assert not app.exception, [e.value for e in app.exception]
    return app


def texts(app: AppTest) -> str:
    """All running text on the page."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.text, app.metric)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def table(app: AppTest, column: str) -> pd.DataFrame:
    """The table on the page that has this column."""
    return next(t.value for t in app.dataframe if column in t.value.columns)


def synthetic(home: Path, name: str = "made", shape: Shape | None = None) -> Run:
    """A run of random numbers in the runs folder."""
    home.mkdir(parents=True, exist_ok=True)
    return Run.open(make_run(home / name, shape or Shape()))


def without_texts(run: Run, name: str = "default") -> None:
    """Take the texts out of a scoring, as the bundled demo has none."""
    for part in run.score_parts(name):
        frame = pd.read_parquet(part)
        frame[["prompt", "response", "original"]] = None
        frame.to_parquet(part, index=False)


def broken_shard(run: Run) -> None:
    """Make a run's first shard unreadable."""
    run.score_parts()[0].write_bytes(b"no parquet")


def second_scoring(run: Run, name: str = "answers") -> None:
    """Score a synthetic run again, as responses: the same samples, other scores."""
    shutil.copytree(run.scores_dir(), run.scores_dir(name))
    settings = run.scores_dir(name) / "settings.json"
    record = json.loads(settings.read_text(encoding="utf-8")) | {"text": "response"}
    record["heads"] = record["heads"][:1]
    settings.write_text(json.dumps(record), encoding="utf-8")
    for part in run.score_parts(name):
        frame = pd.read_parquet(part)
        frame["variance"] = frame["variance"].to_numpy()[::-1]
        frame.to_parquet(part, index=False)
