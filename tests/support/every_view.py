"""Every page, tab and expander of the app on a run with everything in it, and what it raises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from circuitseer_core import stages
from circuitseer_core.calibration.settings import CalibrateSettings
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.experiments import EXPERIMENTS
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection import review
from circuitseer_core.selection.settings import SelectionSettings
from tests.support.opened import APP
from tests.support.tiny_models import save_tiny

RUN = "state"
VIEWS: dict[str, list[dict[str, str]]] = {
    "overview": [{}],
    "runs": [
        {"runs_view": "Watch"},
        *({"runs_view": "Start", "stage": s} for s in ("Everything", "Detect only")),
        {"runs_view": "Start", "stage": "Score and draw"},
        {"runs_view": "Import scores"},
        {"runs_view": "Clusters"},
    ],
    "heads": [
        {"heads_view": view}
        for view in ("Table", "Sparsity", "Layers", "Stability", "Sources", "Sinks", "Compare")
    ],
    "try_it": [{}],
    "samples": [
        {"view": "Browse"},
        *({"view": "Browse", "token_colour": c} for c in ("Attention", "One head")),
        {"view": "High and low"},
        {"view": "Side by side"},
        {"view": "Blind review"},
    ],
    "sources": [
        {},
        {"shape": "Boxes"},
        {"shape": "Cumulative"},
        {"sources_view": "Two scorings"},
        {"scoring": "answers"},
    ],
    "calibrate": [{}],
    "evidence": [{}],
    "export": [
        {},
        {"before_after": "Length"},
        {"before_after": "Score"},
        {"stratify": "equal for every stratum", "stratify_by": "level", "before_after": "Strata"},
    ],
}
IN_SESSION = ("token_colour", "before_after", "map_value")
"""Of their keys those that the session keeps; the others are in the link."""
TIMEOUT_S = 240
EXPANDERS = (
    *("head_sample", "head_role", "head_hurts", "heads_card", "heads_typed", "head_map_menu"),
    *("attention_matrix", "try_attention", "probe_lengths", "data_lengths"),
    *("write_menu", "push_menu", "write_all_menu"),
    *(
        "commands",
        "draw_command",
        "all_command",
        "import_command",
        "cluster_command",
        "arms_command",
    ),
    *("job_commands", "sinks_command", "readings_command", "calibrate_command"),
    *(f"more_{name}" for name in EXPERIMENTS),
)
"""All that draws nothing until it is opened."""


def problem(i: int) -> dict[str, Any]:
    """A row of data."""
    return {
        "id": f"{i}",
        "question": f"Tom has {i} apples and {2 * i} pears. How many in all?",
        "answer": f"He has {3 * i}.",
        "source": ("a", "b")[i % 2],
        "level": i % 3,
    }


def whole_run(folder: Path, rows: int = 30, **detection: Any) -> Path:
    """A run with heads, two scorings and a selection, made by the stages on a tiny model.

    ``detection``: settings of its detection beside the usual ones.
    """
    data = folder / "toy.jsonl"
    lines = [json.dumps(problem(i)) for i in range(rows)]
    data.write_text("\n".join(lines), encoding="utf-8")
    path = folder / RUN
    model = str(save_tiny(folder / "model"))
    usual = {"probe": [str(data)], "probe_size": 6, "probe_pool": 12, "device": "cpu"}
    asked = DetectSettings(model=model, **(usual | detection))
    stages.run_detection(path, asked, show=False)
    for name, text in (("default", "prompt"), ("answers", "response")):
        settings = ScoreSettings(
            data=[str(data)], name=name, text=text, shard_rows=8 if rows < 60 else 40, device="cpu",
            head_features=name == "default",
        )  # fmt: skip
        stages.run_scoring(path, settings, show=False)
    stages.run_selection(path, SelectionSettings.of(fraction=0.3))
    return path


def furnish(path: Path) -> None:
    """Add to it what only some runs have: a calibration, experiments, judgements, lists."""
    run = Run.open(path)
    fit = CalibrateSettings(target="level", folds=3, repeats=1, permutations=20)
    stages.run_calibration(path, fit, show=False)
    for name in ("length", "temperature", "stability"):
        EXPERIMENTS[name].run(run)
    ids = run.scores(columns=["id"])["id"].tolist()
    review.append(path, {"kind": "pin", "id": ids[0]})
    review.append(path, {"kind": "drop", "id": ids[1]})
    for i in range(2, 8):
        pair = {"left": ids[i], "right": ids[i + 1], "choice": "left", "scorer": "variance"}
        review.append(path, {"kind": "verdict", **pair, "scores": [0.5, 0.25]})
    (path / "lists").mkdir()
    (path / "lists" / "exclude.txt").write_text(f"{ids[2]}\n", encoding="utf-8")
    job = {"steps": [["select"]], "state": "failed", "step": 0, "error": "no", "started_s": 1.0}
    (path / "job.json").write_text(json.dumps(job), encoding="utf-8")
    progress = {"stage": "select", "phase": "Drawing", "state": "failed", "done": 3, "total": 10}
    (path / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
    (path / "log.txt").write_text("select: 30 %\n", encoding="utf-8")


def opened(path: Path, key: str | None = None) -> AppTest:
    """The app as a link to the run opens it: the shell, and the first page.

    ``key``: what the link calls the run, where that is not its folder's name.
    """
    app = AppTest.from_file(str(APP), default_timeout=TIMEOUT_S)
    app.query_params["run"] = key or path.name
    return app.run()


def shown(page: str, query: dict[str, str], path: Path) -> AppTest:
    """The page as a link opens it, with every expander open and the live model asked for.

    What surrounds it, and the page that the app opens with, may raise nothing either.
    """
    app = opened(path)
    assert not app.exception, [error.message for error in app.exception]
    return show_view(app, page, query, path)


def shown_alone(page: str, query: dict[str, str], path: Path) -> AppTest:
    """The same without the shell around it, of which a page needs no more than these keys."""
    app = AppTest.from_file(str(APP), default_timeout=TIMEOUT_S)
    app.session_state["_shell"] = True
    app.session_state["_page"] = page
    app.session_state["run_key"] = path.name
    app.query_params["run"] = path.name
    return show_view(app, page, query, path)


def show_view(
    app: AppTest, page: str, query: dict[str, str], path: Path, *, live: bool = True
) -> AppTest:
    """Go to a page, with every expander open and (where ``live``) the live model asked for."""
    app.switch_page(f"pages/{page}.py")
    ask(app, query)
    if live:
        app.session_state["live_model"] = str(path)
    for key in EXPANDERS:
        app.session_state[key] = True
    return app.run()


def ask(app: AppTest, query: dict[str, str]) -> None:
    """Choose a view, for the next run of the app."""
    for name, value in query.items():
        (app.session_state if name in IN_SESSION else app.query_params)[name] = value


def boxes(app: AppTest) -> list[str]:
    """The exception boxes of a page, with the place that raised.

    A UserError is none: this test runner goes past app.py, which makes one line of it.
    """
    lines = []
    for error in app.exception:
        if not error.proto.type.endswith("UserError"):
            where = [line for line in error.stack_trace if "streamlit/" not in line]
            lines.append(f"{error.message} {where[-1:]}")
    return lines
