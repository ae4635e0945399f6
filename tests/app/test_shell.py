"""The shell: which run is in view, empty states, broken runs, and what a page may load."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from circuitseer_core.runs.folder import DEMO_RUN
from tests.support.opened import APP, open_page, settled, synthetic, texts
from tests.support.synthetic import Shape
from ui.shell import run_keys, run_path

PAGES = [
    *("overview", "runs", "heads", "try_it", "samples", "sources", "calibrate", "export"),
    "evidence",
]


@pytest.fixture
def no_demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if the bundled run were not there."""
    for module in ("ui.shell", "circuitseer_core.runs.folder"):
        monkeypatch.setattr(f"{module}.DEMO_RUN", tmp_path / "nowhere")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_any_run_says_what_to_do(page: str, no_demo: None) -> None:
    app = open_page(page)
    assert app.title[0].value
    if page != "runs":
        assert "No run yet" in texts(app)


@pytest.mark.parametrize("page", PAGES)
def test_a_broken_run_folder_is_one_line_and_no_crash(page: str, runs_home: Path) -> None:
    broken = runs_home / "broken"
    broken.mkdir(parents=True)
    (broken / "run.json").write_text("{not json", encoding="utf-8")
    app = open_page(page, "broken")
    if page != "runs":
        assert "cannot be read" in texts(app)


@pytest.mark.parametrize("page", ["overview", "heads"])
def test_a_run_that_only_detected_shows_what_it_has(page: str, runs_home: Path) -> None:
    synthetic(runs_home, shape=Shape(detect_only=True))
    app = open_page(page, "made")
    assert app.title[0].value in {"Overview", "Heads"}


def test_the_newest_run_is_in_view_and_the_link_wins(runs_home: Path) -> None:
    synthetic(runs_home, "first", Shape(detect_only=True))
    synthetic(runs_home, "second", Shape(detect_only=True))
    app = settled(AppTest.from_file(str(APP), default_timeout=240).run())
    assert app.session_state["run_key"] == "second"
    assert app.query_params["run"] == "second"
    assert open_page("heads", "first").session_state["run_key"] == "first"


def test_an_unknown_run_in_the_link_falls_back_and_says_so(runs_home: Path) -> None:
    synthetic(runs_home, "real", Shape(detect_only=True))
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params["run"] = "gone"
    settled(app.run())
    assert app.session_state["run_key"] == "real"
    assert any("gone" in toast.value for toast in app.toast)


def test_a_run_whose_name_is_not_utf8_hides_no_other(runs_home: Path) -> None:
    synthetic(runs_home, "good", Shape(detect_only=True))
    try:
        shutil.copytree(runs_home / "good", runs_home / os.fsdecode(b"bad\xff"))
    except OSError:
        pytest.skip("this file system takes no such names")
    shown = texts(open_page("overview", "good"))
    assert "not UTF-8: bad\ufffd" in shown


@pytest.mark.parametrize("module", ["ui.shell", "ui.runs.job_strip"])
def test_what_surrounds_a_page_ends_in_one_line(
    module: str, monkeypatch: pytest.MonkeyPatch, runs_home: Path
) -> None:
    synthetic(runs_home, shape=Shape(detect_only=True))

    def refuses() -> list[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", "runs")

    monkeypatch.setattr(f"{module}.list_runs", refuses)
    app = settled(AppTest.from_file(str(APP), default_timeout=240).run())
    assert texts(app).count("runs: Permission denied") == 1
    assert ("Overview" in texts(app)) == (module != "ui.shell")


def test_another_run_is_opened_without_what_the_link_named_of_the_first(runs_home: Path) -> None:
    for name in ("first", "second"):
        synthetic(runs_home, name, Shape(rows=40))
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params.update({"run": "first", "sample": "source_00/0", "ablate": "0.1"})
    settled(app.run()).sidebar.selectbox(key="run_choice").set_value("second").run()
    assert not {"sample", "ablate"} & set(settled(app).query_params)


def test_an_own_run_of_the_bundled_ones_name_can_be_opened(runs_home: Path) -> None:
    synthetic(runs_home, "bundled-demo", Shape(rows=40))
    app = settled(AppTest.from_file(str(APP), default_timeout=240).run())
    keys = run_keys()
    assert keys[0] != "bundled-demo" and len(set(keys)) == len(keys)
    assert app.session_state["run_key"] == keys[0]
    assert run_path(keys[0]) == runs_home / "bundled-demo"


def test_the_picker_changes_run_and_link(runs_home: Path) -> None:
    synthetic(runs_home, "first", Shape(detect_only=True))
    synthetic(runs_home, "second", Shape(detect_only=True))
    app = AppTest.from_file(str(APP), default_timeout=240)
    app.query_params["run"] = "first"
    settled(app.run()).sidebar.selectbox(key="run_choice").set_value("second").run()
    settled(app)
    assert app.session_state["run_key"] == "second"
    assert app.query_params["run"] == "second"


@pytest.mark.skipif(not (DEMO_RUN / "run.json").is_file(), reason="no bundled run in this tree")
@pytest.mark.parametrize("page", PAGES)
def test_the_bundled_run_is_in_view_when_there_is_no_other(page: str) -> None:
    app = open_page(page)
    assert app.session_state["run_key"] == "bundled-demo"


def test_a_fault_is_handed_to_no_search_engine() -> None:
    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["client"]["showErrorLinks"] is False


def test_no_page_loads_torch(runs_home: Path) -> None:
    """In a fresh interpreter, so that nothing else can have loaded it."""
    synthetic(runs_home)
    code = (
        "import sys\n"
        "from tests.support.opened import open_page\n"
        f"for page in {PAGES!r}:\n    open_page(page, 'made')\n"
        "assert not {'torch', 'transformers', 'datasets', 'scipy.stats'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=APP.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
