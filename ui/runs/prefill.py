"""A run form filled in by a link: as another run was measured, but for what the link changes.

``?like=RUN&probe_criterion=stratified``: model, probe and settings of RUN, and a stratified probe.
The link is taken once; what is typed afterwards stands.
"""

from __future__ import annotations

from typing import Annotated, Any

import streamlit as st
from pydantic import TypeAdapter, ValidationError

from circuitseer_core.data.specs import is_hub
from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from ui.shell import run_keys, run_path
from ui.widgets.settings_field import choices

_KEYS = {
    "mode": "set_mode",
    "probe_size": "set_probe_size",
    "probe_pool": "set_probe_pool",
    "probe_criterion": "set_criterion",
    "ablation": "set_ablation",
    "epsilon": "set_epsilon",
    "loss_tokens": "set_loss",
    "template": "set_template",
    "max_length": "set_max_length",
    "seed": "set_seed",
    "dtype": "set_dtype",
    "device": "set_device",
    "devices": "set_devices",
}
_MOST_IN_BROWSER = 2**53 - 1
"""A larger number is none that a browser can count with, and Streamlit refuses it."""
_FIELDS = ("prompt_field", "response_field", "source_field", "id_field", "response_items")


def from_link() -> None:
    """Fill the form from the link, if it asks for that."""
    like = st.query_params.get("like")
    if like is None:
        return
    asked = {name: st.query_params.get(name) for name in ("probe_criterion", "probe_size")}
    for name in ("like", *asked):
        st.query_params.pop(name, None)
    if like not in run_keys():
        return
    try:
        detection = Run.open(run_path(like)).detection
    except UserError:
        return
    settings = detection.settings.model_dump() if detection.settings else {}
    _model(settings.get("model"))
    _data("probe", settings.get("probe") or [])
    st.session_state["set_contrast"] = bool(settings.get("contrast"))
    _data("contrast", settings.get("contrast") or [])
    for name in _FIELDS:
        st.session_state[f"probe_{name}"] = str(settings.get(name) or "")
    if asked["probe_criterion"] in choices(DetectSettings, "probe_criterion"):
        settings["probe_criterion"] = asked["probe_criterion"]
    if (asked["probe_size"] or "").isdecimal() and len(str(asked["probe_size"])) < 16:
        settings["probe_size"] = int(str(asked["probe_size"]))
        settings["probe_pool"] = max(settings["probe_size"], settings.get("probe_pool") or 0)
    for name, key in _KEYS.items():
        value = settings.get(name)
        if value is None or not fits(name, value):  # not what was typed for another run
            value = DetectSettings.model_fields[name].default
        st.session_state[key] = value if value is not None or name != "devices" else ""
    if not settings.get("epsilon"):  # of the other ablations, which have no such field
        del st.session_state[_KEYS["epsilon"]]


def fits(name: str, value: Any) -> bool:
    """Whether a field of the form takes this value of a record, which anybody may have written."""
    info = DetectSettings.model_fields[name]
    kind: Any = Annotated[info.annotation, info]
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return not isinstance(value, int | float) or (
        not isinstance(value, bool) and abs(value) <= _MOST_IN_BROWSER
    )


def _model(model: Any) -> None:
    if not isinstance(model, str):
        return
    kind = "demo" if model == "demo" else "folder" if model.startswith(("/", ".", "~")) else "hub"
    st.session_state["model_kind"] = kind
    if kind != "demo":
        st.session_state[f"model_{kind}"] = model


def _data(key: str, specs: list[str]) -> None:
    """Where data come from: the embedded ones, the Hub, or files, by what the specs say."""
    if not specs:
        return
    if specs == ["demo"]:
        st.session_state[f"{key}_kind"] = "demo"
        return
    hub = all(map(is_hub, specs))
    kind = "hub" if hub else "files"
    st.session_state[f"{key}_kind"] = kind
    lines = (spec.replace("hf:", "", 1) if hub else spec for spec in specs)
    st.session_state[f"{key}_{kind}"] = "\n".join(lines)
