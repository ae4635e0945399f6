"""One HTML file about a run, to send, to print, to keep beside a paper.

It carries its figures' data and the plotting library, so that it opens anywhere, years later,
without a network. What a stage has not produced yet is said in one line where it would stand.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from circuitseer_core.errors import UserError
from circuitseer_core.experiments import saved_results
from circuitseer_core.files import write_text
from circuitseer_core.installation import require_extra
from circuitseer_core.report.html import Figures, Html, facts, join, page, paragraph, section, tag
from circuitseer_core.report.sections import heads_section, scores_section, selection_section
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.wording import count, plain

_WORDS = {"warn": "warning", "info": "note", "good": "fine"}


def report(run: Run, out: Path, *, scoring: str | None = None, scorer: str | None = None) -> Path:
    """Write the report of ``run`` to ``out`` (atomically) and return its path.

    Args:
        scoring: which scoring to show; ``default``, else the first there is.
        scorer: which scorer; the newest selection's, else ``variance``.

    Raises:
        UserError: the file cannot be written there.
    """
    out = Path(out)
    if out.is_dir():
        raise UserError(f"{out} is a folder: give the name of an HTML file")
    text = render(run, scoring=scoring, scorer=scorer)
    try:
        write_text(out, text)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}") from error
    return out


def render(run: Run, *, scoring: str | None = None, scorer: str | None = None) -> str:
    """The report as HTML text."""
    require_extra("app", "the report", "plotly")
    facts_ = Evidence(run, scoring, scorer)
    figures = Figures()
    body = [
        _head(run, facts_),
        _tiles(facts_),
        _findings(run, scoring, scorer),
        heads_section(facts_, figures),
        scores_section(facts_, figures),
        selection_section(facts_, figures),
        _experiments(run),
        _made(run, facts_),
        tag(
            "footer",
            f"Written by CircuitSeer on {now()}. Everything shown is in this file; it loads "
            "nothing from anywhere.",
        ),
    ]
    return page(f"{run.name} · CircuitSeer report", body, figures)


def _head(run: Run, facts_: Evidence) -> Html:
    model = run.manifest.get("model") or {}
    what = f"Reasoning heads of {model['id']}" if model.get("id") else "No model yet"
    line = f"{what}, and what was scored and selected with them."
    return join((tag("h1", run.name), paragraph(line, class_="muted")))


def _tiles(facts_: Evidence) -> Html:
    heads, chosen, selection = facts_.heads, facts_.chosen, facts_.selection
    tiles = [
        ("reasoning heads", f"{len(chosen)} of {len(heads)}" if heads is not None else "–"),
        ("samples scored", f"{len(facts_.scored):,}" if facts_.scored is not None else "–"),
        ("scorer", facts_.scorer if facts_.scored is not None else "–"),
        ("samples selected", f"{selection['counts']['selected']:,}" if selection else "–"),
    ]
    boxes = (tag("div", tag("b", value), tag("span", name), class_="tile") for name, value in tiles)
    return tag("div", *boxes, class_="tiles")


def _findings(run: Run, scoring: str | None, scorer: str | None) -> Html:
    found = warnings(run, scoring=scoring, scorer=scorer)
    if not found:
        return section("What to distrust", "findings", paragraph("Nothing is measured yet."))
    return section(
        "What to distrust",
        "findings",
        *(
            tag(
                "div",
                tag("b", s.title),
                tag("span", _WORDS[s.severity], class_="word"),
                paragraph(s.text),
                class_=f"finding {s.severity}",
            )
            for s in found
        ),
    )


def _experiments(run: Run) -> Html:
    kept = saved_results(run)
    if not kept:
        return Html("")
    return section(
        "Validation experiments",
        "experiments",
        *(join((tag("h3", entry["title"]), paragraph(entry["verdict"]))) for entry in kept),
    )


def _made(run: Run, facts_: Evidence) -> Html:
    manifest = run.manifest
    parts: list[object] = [facts(_model_facts(manifest)), facts(_detect_facts(manifest))]
    if facts_.settings:
        parts.append(facts(_score_facts(facts_.settings)))
    commands = [c if isinstance(c, str) else c.get("command") for c in manifest.get("commands", [])]
    lines = list(dict.fromkeys(str(c) for c in commands if c))
    if facts_.selection and facts_.selection.get("command") not in (None, *lines):
        lines.append(str(facts_.selection["command"]))
    if lines:
        parts.append(tag("pre", "\n".join(lines)))
    else:
        parts.append(paragraph("The run records no command lines."))
    versions = manifest.get("versions") or {}
    if versions:
        parts.append(paragraph(", ".join(f"{k} {v}" for k, v in versions.items()), class_="muted"))
    return section("How it was made", "made", *parts)


def _model_facts(manifest: dict[str, Any]) -> list[tuple[str, object]]:
    model = manifest.get("model") or {}
    if not model:
        return [("Model", "none yet")]
    layers = model.get("heads_per_layer") or []
    pairs: list[tuple[str, object]] = [("Model", model.get("id", "unknown"))]
    if model.get("revision"):
        pairs.append(("Revision", model["revision"]))
    pairs += [
        ("Weights hash", str(model.get("weights_hash", "unknown"))[:16]),
        ("Numbers", f"{model.get('dtype', '?')} on {model.get('device', '?')}"),
    ]
    if layers:
        pairs.append(
            ("Heads", f"{count(sum(layers), 'query head')} in {count(len(layers), 'layer')}")
        )
    return pairs


def _detect_facts(manifest: dict[str, Any]) -> list[tuple[str, object]]:
    detect = manifest.get("detect") or {}
    settings = detect.get("settings") or {}
    pairs: list[tuple[str, object]] = []
    if "n_probe" in detect:
        how = settings.get("probe_criterion")
        chosen = f", chosen by {how}" if how else ""
        pairs.append(("Probe", f"{count(int(detect['n_probe']), 'sample')}{chosen}"))
    if settings.get("mode"):
        pairs.append(("Ablation", f"{settings['mode']}, {settings.get('ablation', 'uniform')}"))
    if "noise_floor" in detect:
        pairs.append(("Noise floor", f"{plain(float(detect['noise_floor']))} nats a sample"))
    pairs += [("Probe data", _file(entry)) for entry in _files(detect.get("probe_data"))]
    return pairs


def _score_facts(settings: dict[str, Any]) -> list[tuple[str, object]]:
    heads = ", ".join(f"{layer}.{head}" for layer, head in settings.get("heads", []))
    pairs: list[tuple[str, object]] = [
        ("Scored text", settings.get("text", "prompt")),
        ("Heads (layer.head)", heads),
        ("Rule", f"{settings.get('heads_rule')} by {settings.get('rank_by', 'importance')}"),
        ("Longest input", f"{settings.get('max_length', '?')} tokens"),
    ]
    pairs += [("Scored data", _file(entry)) for entry in _files(settings.get("data"))]
    return pairs


def _files(fingerprints: Any) -> list[dict[str, Any]]:
    """The file entries of one fingerprint or several."""
    several = fingerprints if isinstance(fingerprints, list) else [fingerprints]
    found: list[dict[str, Any]] = []
    for entry in several:
        if isinstance(entry, dict):
            found += [file for file in entry.get("files", [entry]) if isinstance(file, dict)]
    return found


def _file(entry: dict[str, Any]) -> str:
    name = str(entry.get("name") or entry.get("source") or "data")
    size = entry.get("bytes")
    details = [f"{size:,} bytes"] if isinstance(size, int) else []
    if entry.get("revision"):
        details.append(f"revision {entry['revision']}")
    if entry.get("sha256"):
        details.append(f"sha256 {str(entry['sha256'])[:16]}…")
    return f"{name} ({', '.join(details)})" if details else name
