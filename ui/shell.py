"""The shell every page lives in: navigation, run picker, page header, empty states.

The run in view is a URL parameter (``?run=NAME``) mirrored in the session, so that a link names
its run and moving between pages keeps it. ``page_header`` must be the first call of a page:
Streamlit runs a page file *without* app.py when the very first request after server start is a
deep link, and ``page_header`` mends that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from circuitseer_core.errors import UserError, machine_line
from circuitseer_core.installation import HOME
from circuitseer_core.runs.folder import DEMO_RUN, Run, runs_home
from circuitseer_core.runs.listing import list_runs
from ui.server import file_checks
from ui.widgets import refused, scoring_choice
from ui.widgets.markdown import inline

BUNDLED = "bundled-demo"
"""The key of the run that ships with the app; an own run of that name has another key."""

HEAD_START = 0.4
"""Seconds."""

_SECTIONS = {
    "": [("overview", "Overview", "space_dashboard"), ("runs", "Runs", "play_circle")],
    "Detect": [("heads", "Heads", "grid_view"), ("try_it", "Try it", "science")],
    "Score": [
        ("samples", "Samples", "notes"),
        ("sources", "Sources", "bar_chart"),
        ("calibrate", "Calibrate", "tune"),
    ],
    "Select": [("export", "Export", "file_export")],
    "Check": [("evidence", "Evidence", "fact_check")],
}


def pages() -> dict[str, list[Any]]:
    """The page registry, in the order of the work."""
    return {
        section: [
            st.Page(
                f"pages/{name}.py",
                title=title,
                icon=f":material/{icon}:",
                default=name == "overview",
            )
            for name, title, icon in entries
            if (HOME / "pages" / f"{name}.py").is_file()
        ]
        for section, entries in _SECTIONS.items()
    }


def configure() -> None:
    """Title, layout and icon. Without an icon of ours the browser would fetch one from a CDN."""
    st.set_page_config(
        page_title="CircuitSeer", page_icon=str(HOME / "assets" / "icon.svg"), layout="wide"
    )


def enter() -> Any:
    """Draw what surrounds every page; returns the page to run. For app.py alone."""
    st.session_state["_shell"] = True
    configure()
    st.html(HOME / "ui" / "style.css")
    dark = st.context.theme.type == "dark"
    st.logo(
        str(HOME / "assets" / ("logo-dark.svg" if dark else "logo.svg")),
        icon_image=str(HOME / "assets" / "icon.svg"),
        size="large",
    )
    page = st.navigation({k: v for k, v in pages().items() if v}, expanded=True)
    st.session_state["_arrived"] = st.session_state.get("_page") != page.url_path
    st.session_state["_page"] = page.url_path
    st.session_state.update(st.session_state.pop("_next", {}))
    if not in_one_line(_settle):
        st.stop()  # no page could say more
    return page


def _settle() -> None:
    """Run and scoring in view, and their choices in the sidebar."""
    _pick_run()
    scoring_choice.choose_scoring(current_run())


def page_header(title: str, caption: str | None = None) -> None:
    """The page's heading and one line below it. Must be a page's first call (see the module)."""
    if "_shell" not in st.session_state:
        configure()
        st.navigation(pages(), position="hidden")
        st.rerun()
    st.title(title, anchor=False)
    if caption:
        st.caption(caption)
    refused.show()


def head_start() -> None:
    """Where somebody has just come to this page: let the browser draw what it has so far.

    Else it starts on the figures and tables below first, whose code takes it a second and more,
    and the page's main figure appears last. Later runs of the script do not wait.
    """
    if st.session_state.get("_arrived"):
        time.sleep(HEAD_START)


def folding_columns(spec: int | list[float], key: str, *, gap: Any = "small") -> list[Any]:
    """Columns that fold on narrow windows: four to 2 x 2, two or three to one under the other."""
    count = spec if isinstance(spec, int) else len(spec)
    with st.container(key=f"grid{count}_{key}"):
        return list(st.columns(spec, gap=gap))


def link_to(page: str, label: str, *, icon: str | None = None, **params: Any) -> None:
    """A link to ``page`` ("heads") that keeps run and scoring and carries ``params`` in the URL."""
    st.page_link(f"pages/{page}.py", label=label, icon=icon, query_params=_in_view(params))


def go_to(page: str, **params: Any) -> None:
    """Switch to ``page`` now, keeping run and scoring; ends the script run."""
    st.switch_page(f"pages/{page}.py", query_params=_in_view(params))


def _in_view(params: dict[str, Any]) -> dict[str, str]:
    """URL parameters of a link: run and scoring in view, and ``params``."""
    param = scoring_choice.PARAM
    query = {"run": st.session_state.get("run_key"), param: st.query_params.get(param)} | params
    return {k: str(v) for k, v in query.items() if v is not None}


def run_keys() -> list[str]:
    """Keys of the runs one can open: those in the runs folder, newest first, then the bundled."""
    keys = [f"./{BUNDLED}" if path.name == BUNDLED else path.name for path in list_runs()]
    return [*keys, BUNDLED] if (DEMO_RUN / "run.json").is_file() else keys


def run_path(key: str) -> Path:
    """The folder behind a key of :func:`run_keys`."""
    return DEMO_RUN if key == BUNDLED else runs_home() / key


def run_label(key: str) -> str:
    """How the picker shows a run."""
    return "demo (bundled)" if key == BUNDLED else key


def open_run(key: str) -> None:
    """Make ``key`` the run in view from the next script run on (call from a callback)."""
    st.session_state["run_key"] = key
    _name_run(key)


def watch_run(key: str) -> None:
    """Draw the Runs page anew with run ``key`` in view; ends the script run."""
    st.session_state["_next"] = {"run_key": key, "runs_view": "Watch"}
    _name_run(key)
    st.rerun()


def _name_run(key: str) -> None:
    """Name another run in the URL, without what was named of the one before."""
    st.query_params["run"] = key
    for param in (scoring_choice.PARAM, "sample", "ablate"):
        st.query_params.pop(param, None)


def current_run() -> Run | None:
    """The run in view; None where there is no run or its folder is broken (see ``require_run``)."""
    key = st.session_state.get("run_key")
    if key is None:
        return None
    try:
        return Run.open(run_path(key))
    except UserError:
        return None


def require_run(stage: str | None = None) -> Run:
    """The run in view, or an empty state that says what is missing and the end of this script run.

    ``stage`` ("detect", "score" or "select"): also demand that this stage has results.
    """
    key = st.session_state.get("run_key")
    if key is None:
        empty_state("No run yet", "A run holds one model's heads, scores and subsets.")
        st.stop()
    try:
        run = Run.open(run_path(key))
        state = run.stage_state()
    except UserError as error:
        broken_state(error)
        st.stop()
    if stage == "detect" and state[stage] == "partial":
        empty_state(*_MEASURING)
        st.stop()
    if stage and state[stage] == "missing":
        empty_state(*_MISSING[stage])
        st.stop()
    return run


_MEASURING = (
    "Heads are not measured yet",
    "This run holds a part of the measurements. The Runs page shows how far the job is.",
)
_MISSING = {
    "detect": ("No heads yet", "This run has not measured head importance."),
    "score": ("No scores yet", "No dataset has been scored in this run."),
    "select": ("No subset yet", "No subset has been drawn in this run."),
}


def empty_state(title: str, text: str) -> None:
    """What is missing and what to do about it, in one quiet box."""
    with st.container(border=True, key="empty_state"):
        st.subheader(title, anchor=False)
        st.markdown(text)
        with st.container(horizontal=True):
            st.page_link("pages/runs.py", label="Start a run", icon=":material/play_circle:")
            if (DEMO_RUN / "run.json").is_file() and st.session_state.get("run_key") != BUNDLED:
                st.button(
                    "Load demo",
                    icon=":material/science:",
                    type="tertiary",
                    on_click=open_run,
                    args=[BUNDLED],
                    key="load_demo",
                )


def broken_state(
    error: UserError, title: str = "This run cannot be read", *, key: str = "broken_state"
) -> None:
    """A run folder that cannot be read: the one line that says why."""
    with st.container(border=True, key=key):
        st.subheader(title, anchor=False)
        st.text(str(error))


def run_page(page: Any) -> None:
    """Run a page; a file that it cannot read ends it with one line instead of a traceback."""
    in_one_line(page.run)


def in_one_line(draw: Callable[[], object], key: str = "broken_state") -> bool:
    """Draw a part that reads runs; False, and one line, where it cannot or the machine refuses."""
    try:
        draw()
    except UserError as error:
        broken_state(error, "A part of this run cannot be read", key=key)
        st.caption(
            "What does not need this file still works, on this run's other pages; other runs are "
            "in the sidebar."
        )
    except OSError as error:
        line = machine_line(error)
        if line is None:
            raise
        broken_state(UserError(line), "This machine refused something", key=key)
    else:
        return True
    return False


def _pick_run() -> None:
    """Settle which run is in view (URL, then session, then newest) and draw the picker."""
    keys = run_keys()
    wanted = st.query_params.get("run")
    chosen = wanted if wanted in keys else st.session_state.get("run_key")
    if chosen not in keys:
        chosen = keys[0] if keys else None
    st.session_state["run_key"] = chosen
    if chosen is None:
        return
    if wanted and wanted not in keys:
        st.toast(f"There is no run named {inline(wanted)} here.", icon=":material/info:")
    if st.query_params.get("run") != chosen:
        st.query_params["run"] = chosen
    st.session_state["run_choice"] = chosen
    with st.sidebar:
        st.selectbox(
            "Run",
            keys,
            format_func=run_label,
            key="run_choice",
            on_change=lambda: open_run(st.session_state["run_choice"]),
        )
        file_checks.show_damage(run_path(chosen))
