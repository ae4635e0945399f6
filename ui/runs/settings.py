"""Settings of a run, stage by stage; options, defaults and meanings are the settings classes'."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.detection.settings import DetectSettings
from circuitseer_core.runs.folder import Run
from circuitseer_core.scoring.settings import ScoreSettings
from circuitseer_core.selection.settings import DEFAULT_FRACTION, SelectionSettings
from ui.shell import folding_columns
from ui.widgets.settings_field import KEEP, choices, named_choice, proposed, whole_number

_MORE = {
    "baselines": "Perplexity and IFD too",
    "head_influence": "Head influence too",
    "head_features": "Head readings too",
}


def detection() -> dict[str, Any]:
    """Options of ``detect`` (and ``use_contrast``)."""
    with st.expander("Detection settings", icon=":material/tune:", key="detect_settings"):
        options = _probe() | _ablation()
        options["use_contrast"] = st.toggle(
            "Measure a contrast set too",
            key="set_contrast",
            help="The same ablation on text that needs no reasoning. Tells heads that serve "
            "reasoning from heads that any text needs; doubles the work.",
            **KEEP,
        )
    return options


def needs_responses() -> bool:
    """Whether the loss is taken on responses, as it is chosen further down."""
    default = proposed(DetectSettings, "loss_tokens")
    return bool(st.session_state.get("set_loss", default) == "response")


def _probe() -> dict[str, Any]:
    """On how many samples, which, and what of them is read."""
    first, second, third = st.columns(3)
    mode = first.segmented_control(
        "Mode",
        choices(DetectSettings, "mode"),
        default=proposed(DetectSettings, "mode"),
        required=True,
        key="set_mode",
        help=DetectSettings.model_fields["mode"].description,
        **KEEP,
    )
    size = whole_number(
        DetectSettings, "probe_size", "Probe samples", key="set_probe_size", most=10_000,
        where=second,
    )  # fmt: skip
    pool = whole_number(
        DetectSettings, "probe_pool", "Chosen from", key="set_probe_pool", most=100_000,
        where=third,
    )  # fmt: skip
    first, second, third = st.columns(3)
    return {
        "mode": mode,
        "probe_size": size,
        "probe_pool": max(pool or 0, size or 0),
        "probe_criterion": named_choice(
            DetectSettings, "probe_criterion", "Probe criterion", key="set_criterion", where=first
        ),
        "template": named_choice(
            DetectSettings, "template", "Template", key="set_template", where=second
        ),
        "max_length": whole_number(
            DetectSettings, "max_length", "Longest sample (tokens)", key="set_max_length",
            most=131_072, where=third, placeholder="model's limit",
        ),
    }  # fmt: skip


def _ablation() -> dict[str, Any]:
    """What is done to a head, and on which tokens it is felt."""
    first, second, third = st.columns(3)
    ablation = named_choice(DetectSettings, "ablation", "Ablation", key="set_ablation", where=first)
    options: dict[str, Any] = {"ablation": ablation}
    if ablation == "scaled":
        epsilon = first.number_input("Epsilon", 1e-4, 1.0, 0.1, key="set_epsilon", **KEEP)
        options["epsilon"] = float(epsilon)
    return options | {
        "loss_tokens": named_choice(
            DetectSettings, "loss_tokens", "Loss on", key="set_loss", where=second
        ),
        "seed": whole_number(
            DetectSettings, "seed", "Seed", key="set_seed", most=2**31 - 1, where=third
        ),
    }


def machine() -> dict[str, Any]:
    """Number format of ``detect``, and the devices of ``detect`` and ``score``."""
    with st.expander("Machine", icon=":material/memory:", key="machine_settings"):
        first, second, third = st.columns(3)
        dtype = named_choice(DetectSettings, "dtype", "Number format", key="set_dtype", where=first)
        device = second.selectbox(
            "Device",
            ["auto", "cpu", "cuda", "mps"],
            key="set_device",
            help=DetectSettings.model_fields["device"].description,
            **KEEP,
        )
        several = third.text_input(
            "Several devices",
            key="set_devices",
            placeholder="none: the device alone",
            help=DetectSettings.model_fields["devices"].description,
            **KEEP,
        )
    return {"dtype": dtype, "device": device, "devices": (several or "").strip() or None}


def places(machine: dict[str, Any]) -> dict[str, Any]:
    """Of a machine's options those that say where a later stage runs."""
    return {name: machine[name] for name in ("device", "devices")}


def scoring(run: Run | None) -> dict[str, Any]:
    """Options of ``score``; a link from the Heads page brings the set along."""
    default_heads = proposed(ScoreSettings, "heads")
    st.session_state.setdefault("set_heads", default_heads)
    _set_from_link()
    with st.expander("Scoring settings", icon=":material/tune:", key="score_settings"):
        first, second, third, fourth = folding_columns(4, "score_settings")
        taken = run.scorings() if run is not None else []
        default_name = proposed(ScoreSettings, "name")
        heads = first.text_input(
            "Heads", key="set_heads", help=ScoreSettings.model_fields["heads"].description, **KEEP
        )
        rank_by = named_choice(ScoreSettings, "rank_by", "Rank by", key="set_rank_by", where=second)
        text = named_choice(ScoreSettings, "text", "Text", key="set_text", where=third)
        name = fourth.text_input(
            "Name",
            default_name if default_name not in taken else f"scores-{len(taken) + 1}",
            # A name of its own for every run and plan: what was free for one is taken in another.
            key="set_name" if run is None else f"set_name_{run.path}_{len(taken)}",
            help="Scores of other settings need a name of their own.",
        )
        with st.container(horizontal=True):
            more = {name: _too(name, label) for name, label in _MORE.items()}
    return {
        "name": name.strip() or default_name,
        "heads": heads.strip() or default_heads,
        "rank_by": rank_by,
        "text": text,
    } | more


def _set_from_link() -> None:
    """The set that a link brings replaces what the form had; taken once, what is typed stands."""
    heads = st.query_params.pop("heads", None)
    rank_by = str(st.query_params.pop("rank_by", "")).lower()
    if heads:
        st.session_state["set_heads"] = heads
    if rank_by in choices(ScoreSettings, "rank_by"):
        st.session_state["set_rank_by"] = rank_by


def _too(name: str, label: str) -> bool:
    """Whether the pass over the data writes this as well."""
    return st.toggle(
        label,
        key=f"set_{name}",
        help=ScoreSettings.model_fields[name].description,
        **KEEP,
    )


def drawing() -> dict[str, Any]:
    """Options of the first ``select``; the Export page has the dial for more."""
    with st.expander("First subset", icon=":material/tune:", key="select_settings"):
        first, second = st.columns(2)
        percent = first.number_input(
            "Share of the pool (%)", 0.1, 100.0, 100 * DEFAULT_FRACTION, key="set_percent", **KEEP
        )
        temperature = second.number_input(
            "Temperature τ",
            0.0,
            100.0,
            proposed(SelectionSettings, "temperature"),
            0.1,
            key="set_temperature",
            help=SelectionSettings.model_fields["temperature"].description,
            **KEEP,
        )
    return {"fraction": percent / 100, "temperature": float(temperature)}
