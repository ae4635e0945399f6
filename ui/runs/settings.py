"""Settings of a run, stage by stage, with what each of them means."""

from __future__ import annotations

from typing import Any

import streamlit as st

from circuitseer_core.runs.folder import Run

_RANKS = ["importance", "specificity"]
KEEP: dict[str, Any] = {"persist_state": "session"}


def detection() -> dict[str, Any]:
    """Options of ``detect`` (and ``use_contrast``)."""
    with st.expander("Detection settings", icon=":material/tune:", key="detect_settings"):
        columns = st.columns(3)
        options = _probe(*columns) | _ablation(*columns)
        options["use_contrast"] = st.toggle(
            "Measure a contrast set too",
            key="set_contrast",
            help="The same ablation on text that needs no reasoning. Tells heads that serve "
            "reasoning from heads that any text needs; doubles the work.",
            **KEEP,
        )
    return options | _machine()


def _probe(first: Any, second: Any, third: Any) -> dict[str, Any]:
    """On how many samples, and which."""
    mode = first.segmented_control(
        "Mode",
        ["racing", "exact"],
        default="racing",
        required=True,
        key="set_mode",
        help="Exact measures every head on every probe sample. Racing drops hopeless heads "
        "after a pilot: about a fifth of the work.",
        **KEEP,
    )
    size = second.number_input(
        "Probe samples",
        1,
        10_000,
        64,
        key="set_probe_size",
        help="More samples, smaller intervals. The paper uses 300.",
        **KEEP,
    )
    pool = third.number_input(
        "Chosen from",
        1,
        100_000,
        2_000,
        key="set_probe_pool",
        help="So many random samples get a clean loss first.",
        **KEEP,
    )
    criterion = first.selectbox(
        "Probe criterion",
        ["loss", "random", "stratified"],
        key="set_criterion",
        help="loss takes the samples of highest clean loss (the paper); stratified draws "
        "evenly from the sources.",
        **KEEP,
    )
    return {
        "mode": mode,
        "probe_size": int(size),
        "probe_pool": max(int(pool), int(size)),
        "probe_criterion": criterion,
    }


def _ablation(first: Any, second: Any, third: Any) -> dict[str, Any]:
    """What is done to a head, and on which tokens it is felt."""
    ablation = second.selectbox(
        "Ablation",
        ["uniform", "zero", "mean", "scaled"],
        key="set_ablation",
        help="uniform replaces the head's attention by the running mean (the paper).",
        **KEEP,
    )
    epsilon = 0.0
    if ablation == "scaled":
        epsilon = second.number_input("Epsilon", 1e-4, 1.0, 0.1, key="set_epsilon", **KEEP)
    loss = third.selectbox(
        "Loss on",
        ["response", "all"],
        key="set_loss",
        help="Mean cross-entropy over the response's tokens, or over all.",
        **KEEP,
    )
    template = first.selectbox(
        "Template",
        ["auto", "chat", "plain"],
        key="set_template",
        help="auto is chat where the tokenizer has a chat template.",
        **KEEP,
    )
    longest = second.number_input(
        "Longest sample (tokens)",
        16,
        131_072,
        None,
        key="set_max_length",
        placeholder="model's limit",
        help="Longer samples are left out of the probe.",
        **KEEP,
    )
    seed = third.number_input("Seed", 0, 2**31 - 1, 0, key="set_seed", **KEEP)
    return {
        "ablation": ablation,
        "epsilon": float(epsilon),
        "loss_tokens": loss,
        "template": template,
        "max_length": longest,
        "seed": int(seed),
    }


def _machine() -> dict[str, Any]:
    with st.expander("Machine", icon=":material/memory:", key="machine_settings"):
        first, second = st.columns(2)
        dtype = first.selectbox(
            "Number format",
            ["auto", "fp32", "bf16", "fp16"],
            key="set_dtype",
            help="auto: fp32 on a CPU, bf16 on a GPU.",
            **KEEP,
        )
        device = second.selectbox(
            "Device", ["auto", "cpu", "cuda", "mps"], key="set_device", **KEEP
        )
    return {"dtype": dtype, "device": device}


def scoring(run: Run | None) -> dict[str, Any]:
    """Options of ``score``; a link from the Heads page brings the set along."""
    st.session_state.setdefault("set_heads", st.query_params.get("heads", "0.05"))
    rank_by = st.query_params.get("rank_by", "importance").lower()
    st.session_state.setdefault("set_rank_by", rank_by if rank_by in _RANKS else _RANKS[0])
    with st.expander("Scoring settings", icon=":material/tune:", key="score_settings"):
        first, second, third = st.columns(3)
        heads = first.text_input(
            "Heads",
            key="set_heads",
            help="A share (0.05), a count (14), lcb, or a list as in 18.8,7.2.",
            **KEEP,
        )
        rank_by = second.selectbox(
            "Rank by",
            _RANKS,
            key="set_rank_by",
            help="Specificity needs a contrast set.",
            **KEEP,
        )
        text = third.selectbox(
            "Text",
            ["prompt", "response", "full"],
            key="set_text",
            help="The paper found prompts better than responses.",
            **KEEP,
        )
        taken = run.scorings() if run is not None else []
        name = first.text_input(
            "Name",
            "default" if "default" not in taken else f"scores-{len(taken) + 1}",
            key="set_name",
            help="Scores of other settings need a name of their own.",
        )
        baselines = second.toggle(
            "Perplexity and IFD too",
            key="set_baselines",
            help="Two baselines that need responses and another pass.",
            **KEEP,
        )
    return {
        "name": name.strip() or "default",
        "heads": heads.strip() or "0.05",
        "rank_by": rank_by,
        "text": text,
        "baselines": baselines,
    }


def drawing() -> dict[str, Any]:
    """Options of the first ``select``; the Export page has the dial for more."""
    with st.expander("First subset", icon=":material/tune:", key="select_settings"):
        first, second = st.columns(2)
        percent = first.number_input(
            "Share of the pool (%)", 0.1, 100.0, 10.0, key="set_percent", **KEEP
        )
        temperature = second.number_input(
            "Temperature τ",
            0.0,
            100.0,
            1.0,
            0.1,
            key="set_temperature",
            help="0 is top-k, 1 the paper's soft sampling.",
            **KEEP,
        )
    return {"fraction": percent / 100, "temperature": float(temperature)}
