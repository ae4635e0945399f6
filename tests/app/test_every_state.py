"""Every page, tab and expander on every state that a run can be in: none may raise."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.runs.folder import DEMO_RUN, Run
from tests.support.every_view import (
    EXPANDERS,
    RUN,
    VIEWS,
    boxes,
    opened,
    problem,
    show_view,
    shown,
    shown_alone,
    whole_run,
)
from tests.support.opened import APP, without_texts
from tests.support.records import edit_run
from ui.shell import BUNDLED

pytestmark = pytest.mark.usefixtures("plain_errors")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by a race, with a contrast set; one source was met by the last heads alone."""
    folder = tmp_path_factory.mktemp("raced")
    data = folder / "plain.jsonl"
    data.write_text("\n".join(json.dumps(problem(i)) for i in range(18)), encoding="utf-8")
    path = whole_run(folder, mode="racing", contrast=[str(data)])
    run = Run.open(path)
    probe, heads = run.probe(), run.importance().query("set == 'probe'").groupby("id").size()
    assert heads.min() < heads.max()
    late = probe["id"].map(heads) == heads.min()
    probe.assign(source=late.map({True: "late", False: "early"})).to_parquet(run.probe_path)
    return path


def without(path: Path, *names: str) -> None:
    for name in names:
        target = path / name
        shutil.rmtree(target) if target.is_dir() else target.unlink()


def job(path: Path, state: str, stage: str, *, live: bool) -> None:
    """A job at work (held by this very process) or ended, and the progress it left."""
    process = psutil.Process()
    holder = {"pid": process.pid, "start_time": process.create_time()}
    record = {
        "steps": [[stage, "--run", str(path)]], "state": state, "step": 0,
        "started": "2026-01-05T09:00:00+00:00", "started_s": process.create_time(),
        "child": holder if live else {},
    }  # fmt: skip
    (path / "job.json").write_text(json.dumps(record), encoding="utf-8")
    progress = {"stage": stage, "state": state, "done": 3, "total": 10, "unit": "samples"}
    (path / "progress.json").write_text(json.dumps(progress), encoding="utf-8")
    (path / "log.txt").write_text("detect: 30 %\n", encoding="utf-8")
    if live:
        (path / "lock").write_text(json.dumps(holder), encoding="utf-8")


def nothing(path: Path) -> None:
    shutil.rmtree(path)


def created(path: Path) -> None:
    nothing(path)
    Run.create(path)


def detecting_no_part(path: Path) -> None:
    created(path)
    job(path, "running", "detect", live=True)


def detecting_some_parts(path: Path) -> None:
    without(path, "scores", "selections", "heads.parquet")
    part = next((path / "importance").glob("part-*.parquet"))
    part.rename(part.with_name("part-probe-r0-b00000-l000.parquet"))
    edit_run(Run.open(path), state="running", detect={"finished": None})
    job(path, "running", "detect", live=True)


def detection_cancelled(path: Path) -> None:
    detecting_some_parts(path)
    (path / "lock").unlink()
    job(path, "cancelled", "detect", live=False)


def detected(path: Path) -> None:
    without(path, "scores", "selections")


def scoring_no_part(path: Path) -> None:
    """settings.json is written before the first part is."""
    scoring_some_parts(path)
    without(path, "scores/default/part-00000.parquet")


def scoring_cancelled_no_part(path: Path) -> None:
    scoring_no_part(path)
    (path / "lock").unlink()
    job(path, "cancelled", "score", live=False)


def scoring_some_parts(path: Path) -> None:
    without(path, "selections", "scores/answers", "scores/default/rejects.parquet")
    for part in sorted((path / "scores/default").glob("part-*.parquet"))[1:]:
        part.unlink()
    settings = path / "scores/default/settings.json"
    record = json.loads(settings.read_text())
    settings.write_text(json.dumps(record | {"state": "running"}), encoding="utf-8")
    job(path, "running", "score", live=True)


def scoring_failed(path: Path) -> None:
    scoring_some_parts(path)
    (path / "lock").unlink()
    job(path, "failed", "score", live=False)


def scored(path: Path) -> None:
    without(path, "selections", "scores/answers")


def scored_twice(path: Path) -> None:
    without(path, "selections")


def selected(path: Path) -> None:
    assert (path / "selections").is_dir()


def no_texts(path: Path) -> None:
    """As the bundled run without the packages that its texts are in."""
    for name in ("default", "answers"):
        without_texts(Run.open(path), name)


def broken(name: str, content: bytes = b"{") -> Callable[[Path], None]:
    """A state with one file damaged."""

    def breaks(path: Path) -> None:
        if name in ("job.json", "progress.json"):
            job(path, "done", "select", live=False)
        next(path.glob(name)).write_bytes(content)

    breaks.__name__ = f"broken {name}"
    return breaks


STATES = [
    nothing, created, detecting_no_part, detecting_some_parts, detection_cancelled, detected,
    scoring_no_part, scoring_some_parts, scoring_failed, scored, scored_twice, selected,
]  # fmt: skip
BROKEN = [
    *(broken(name) for name in (
        "run.json", "job.json", "progress.json", "scores/default/settings.json",
        "selections/default/selection.json",
    )),
    *(broken(name, b"not parquet") for name in (
        "heads.parquet", "probe.parquet", "pool.parquet", "importance/part-*.parquet",
        "scores/default/part-00000.parquet", "scores/default/rejects.parquet",
        "selections/default/ids.parquet",
    )),
    broken("run.json", b"[]"), broken("heads.parquet", b""),
    broken("job.json", b'{"steps": [[]], "state": "failed"}'),
    broken("job.json", b'{"steps": [["select"]], "step": -3, "state": "failed"}'),
]  # fmt: skip


MAPS = [{"heads_view": "Table", "map_value": name} for name in ("Contrast", "Specificity")]
"""Of a run with a contrast set."""


def faults(
    state: Callable[[Path], None],
    whole: Path,
    home: Path,
    page: str,
    views: list[dict[str, str]],
    *,
    shell: bool = True,
) -> list[str]:
    """What these views of a page raise on a state; the first of them inside the shell."""
    path = home / RUN
    shutil.copytree(whole, path)
    state(path)
    lines = []
    for number, query in enumerate(views):
        # The shell is the same around every view, and costs as much as most of them.
        app = (shown if shell and number == 0 else shown_alone)(page, query, path)
        lines += [f"{query}: {box}" for box in boxes(app)]
    return lines


@pytest.mark.parametrize("page", list(VIEWS))
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_no_state_raises(
    state: Callable[[Path], None], page: str, whole: Path, runs_home: Path
) -> None:
    assert not faults(state, whole, runs_home, page, VIEWS[page])


@pytest.mark.parametrize("page", list(VIEWS))
@pytest.mark.parametrize(
    ("state", "wide"),
    [(scoring_cancelled_no_part, ""), (no_texts, "samples")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_no_rarer_state_raises(
    state: Callable[[Path], None], wide: str, page: str, whole: Path, runs_home: Path
) -> None:
    """On the first view of every page, and on all of that which has most to do with it."""
    views = VIEWS[page] if page == wide else VIEWS[page][:1]
    assert not faults(state, whole, runs_home, page, views)


@pytest.mark.parametrize("page", list(VIEWS))
def test_no_race_and_no_contrast_set_raises(page: str, raced: Path, runs_home: Path) -> None:
    views = [*VIEWS[page], *MAPS] if page == "heads" else VIEWS[page][:1]
    assert not faults(selected, raced, runs_home, page, views)


@pytest.mark.parametrize("page", list(VIEWS))
@pytest.mark.parametrize("state", BROKEN, ids=lambda state: state.__name__)
def test_no_damage_raises(
    state: Callable[[Path], None], page: str, whole: Path, runs_home: Path
) -> None:
    """Each damage on one view of every page, another view for every damage."""
    views = VIEWS[page]
    view = views[BROKEN.index(state) % len(views)]
    shell = page == "overview"
    assert not faults(state, whole, runs_home, page, [view], shell=shell)


@pytest.mark.parametrize("page", list(VIEWS))
@pytest.mark.skipif(not (DEMO_RUN / "run.json").is_file(), reason="no bundled run in this tree")
def test_the_bundled_run_raises_nowhere(page: str, runs_home: Path) -> None:
    """Its model is left out: it is large, and what a model says has tests of its own."""
    seen = [
        (query, show_view(opened(DEMO_RUN, BUNDLED), page, query, DEMO_RUN, live=False))
        for query in VIEWS[page]
    ]
    assert not [f"{query}: {box}" for query, app in seen for box in boxes(app)]
    assert all(app.session_state["run_key"] == BUNDLED for _, app in seen)


def test_a_file_that_cannot_be_read_ends_a_page_in_one_line() -> None:
    """This test runner goes past app.py, which does so for every page."""

    def script() -> None:
        from circuitseer_core.errors import UserError
        from ui.shell import run_page

        class Page:
            def run(self) -> None:
                raise UserError("heads.parquet cannot be read")

        run_page(Page())

    app = AppTest.from_function(script).run()
    assert not app.exception
    assert [t.value for t in app.text] == ["heads.parquet cannot be read"]
    assert "run_page(" in APP.read_text(encoding="utf-8")


def _opened_by(call: ast.Call) -> str | None:
    """The key of what a call draws closed, as a pattern; None for other calls."""
    named = {word.arg: word.value for word in call.keywords}
    function = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    asks = ast.unparse(named["on_change"]) if "on_change" in named else ""
    closed = function in ("expander", "popover") and asks == "'rerun'"
    if not closed and function != "show_commands":
        return None
    key = named["key"]
    if isinstance(key, ast.Constant):
        return re.escape(str(key.value))
    parts = key.values if isinstance(key, ast.JoinedStr) else []
    return "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in parts)


def test_all_that_opens_is_opened_here() -> None:
    files = [path for folder in ("ui", "pages") for path in (APP.parent / folder).rglob("*.py")]
    calls = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    patterns = {pattern for call in calls if (pattern := _opened_by(call))}
    assert {"head_role", "draw_command"} <= patterns
    assert not [p for p in patterns if not any(re.fullmatch(p, key) for key in EXPANDERS)]


def test_expanders_are_really_open_and_views_really_chosen(whole: Path, runs_home: Path) -> None:
    """Else the tests above would look at others and find nothing."""
    path = runs_home / RUN
    shutil.copytree(whole, path)
    app = shown("samples", {"view": "Browse"}, path)
    assert "layer_matrix" in [widget.key for widget in app.number_input]
    app = shown("samples", {"view": "Browse", "token_colour": "One head"}, path)
    assert "layer_open" in [widget.key for widget in app.number_input]
    assert VIEWS["export"][-1]["before_after"] == "Strata"
    app = shown("export", VIEWS["export"][-1], path)
    assert app.session_state["before_after"] == "Strata"
