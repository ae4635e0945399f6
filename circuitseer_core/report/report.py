"""One HTML file about a run, to send, to print, to keep beside a paper.

It carries its figures' data and the plotting library, so that it opens anywhere, years later,
without a network. What a stage has not produced yet is said in one line where it would stand.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from circuitseer_core.checksums import require_whole
from circuitseer_core.errors import UserError
from circuitseer_core.files import sweep_beside, write_text
from circuitseer_core.markup import Html, facts, join, paragraph, section, tag
from circuitseer_core.report.experiments_section import experiments_section
from circuitseer_core.report.html import Figures, page
from circuitseer_core.report.sections import heads_section, scores_section, selection_section
from circuitseer_core.runs.columns import score_columns
from circuitseer_core.runs.folder import Run, now
from circuitseer_core.runs.integrity import remedy_for
from circuitseer_core.runs.records import DetectRecord, FileRecord, ModelRecord, ScoringRecord
from circuitseer_core.runs.reproduction import made_by
from circuitseer_core.runs.shapes import check_shards
from circuitseer_core.selection.go_no_go import go_no_go
from circuitseer_core.signatures.catalogue import warnings
from circuitseer_core.signatures.evidence import Evidence
from circuitseer_core.signatures.signature import Signature
from circuitseer_core.signatures.summary import summary
from circuitseer_core.wording import count, plain

_DECISIONS = {"go": "good", "open": "info", "no-go": "warn"}
_WORDS = {"warn": "warning", "info": "note", "good": "fine"}


def report(
    run: Run,
    out: Path,
    *,
    scoring: str | None = None,
    scorer: str | None = None,
    selection: str | None = None,
) -> Path:
    """Write the report of ``run`` to ``out`` (atomically) and return its path.

    Args:
        scoring: which scoring to show; ``default``, else the first there is.
        scorer: which scorer; the newest selection's, else ``variance``.
        selection: which selection to show, with the scoring and the scorer that it was drawn by;
            the newest of this scoring and scorer.

    Raises:
        UserError: no such scoring, scorer or selection, the selection is of another scoring, or the
            file cannot be written there.
    """
    out = Path(out)
    if out.is_dir():
        raise UserError(f"{out} is a folder: give the name of an HTML file")
    if scoring is not None:
        run.scoring(scoring)
    if selection is not None:
        drawn = run.selection(selection).scores
        if scoring not in (None, drawn):
            raise UserError(f"selection {selection!r} was drawn from the scoring {drawn!r}")
    if scorer is not None and selection is None:
        _refuse_unknown(run, scoring or (run.scorings() or ["default"])[0], scorer)
    text = render(run, scoring=scoring, scorer=scorer, selection=selection)
    try:
        sweep_beside(out)
        write_text(out, text)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error}") from error
    return out


def _refuse_unknown(run: Run, scoring: str, scorer: str) -> None:
    """Raise UserError where the scoring has no such score."""
    parts = run.score_parts(scoring)
    check_shards(parts)
    known = score_columns(pq.read_schema(parts[0]).names) if parts else []
    if scorer not in known:
        there = f"there are {', '.join(known)}" if known else "there are none yet"
        raise UserError(f"scoring {scoring!r} has no scores {scorer!r}: {there}")


def render(
    run: Run,
    *,
    scoring: str | None = None,
    scorer: str | None = None,
    selection: str | None = None,
) -> str:
    """The report as HTML text. Raises UserError where a table of the scores is damaged."""
    facts_ = Evidence(run, scoring, scorer, selection)
    if facts_.damaged is not None:
        require_whole(facts_.damaged, remedy_for(run.path, facts_.damaged))
    figures = Figures()
    findings = warnings(run, scoring=scoring, scorer=scorer, selection=selection)
    body = [
        _head(run, facts_, findings),
        _tiles(facts_),
        _decision(run, facts_),
        _findings(findings),
        heads_section(facts_, figures),
        scores_section(facts_, figures),
        selection_section(facts_, figures),
        experiments_section(run, figures),
        _made(run, facts_),
        tag(
            "footer",
            f"Written by CircuitSeer on {now()}. Everything shown is in this file; it loads "
            "nothing from anywhere.",
        ),
    ]
    return page(f"{run.name} · CircuitSeer report", body, figures)


def _head(run: Run, facts_: Evidence, findings: list[Signature]) -> Html:
    return join((tag("h1", run.name), paragraph(summary(facts_, findings))))


def _decision(run: Run, facts_: Evidence) -> Html:
    """The go/no-go sentence of the newest selection; nothing before one."""
    if facts_.selection is None:
        return Html("")
    answer = go_no_go(run, facts_.selection)
    return tag("div", paragraph(answer.sentence), class_=f"finding {_DECISIONS[answer.decision]}")


def _tiles(facts_: Evidence) -> Html:
    heads, chosen, selection = facts_.heads, facts_.chosen, facts_.selection
    tiles = [
        ("reasoning heads", f"{len(chosen)} of {len(heads)}" if heads is not None else "–"),
        ("samples scored", f"{len(facts_.scored):,}" if facts_.scored is not None else "–"),
        ("scorer", facts_.scorer if facts_.scored is not None else "–"),
        ("samples selected", f"{selection.counts.selected:,}" if selection else "–"),
    ]
    boxes = (tag("div", tag("b", value), tag("span", name), class_="tile") for name, value in tiles)
    return tag("div", *boxes, class_="tiles")


def _findings(findings: list[Signature]) -> Html:
    if not findings:
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
            for s in findings
        ),
    )


def _made(run: Run, facts_: Evidence) -> Html:
    parts: list[object] = [
        facts(_model_facts(run.record.model)),
        facts(_detect_facts(run.detection)),
    ]
    if facts_.scoring is not None:
        parts.append(facts(_score_facts(facts_.settings)))
    lines = made_by(run, facts_.scoring, facts_.selection)
    if lines:
        parts.append(tag("pre", "\n".join(lines)))
    else:
        parts.append(paragraph("The run records no command lines."))
    parts += [paragraph(line, class_="muted") for line in _versions(run, facts_)]
    return section("How it was made", "made", *parts)


def _versions(run: Run, facts_: Evidence) -> list[str]:
    """With which packages the numbers were made; of runs of before, those of the last stage."""
    measured = {
        "Heads measured with": run.detection.versions,
        "Scored with": facts_.settings.versions,
    }
    known = {what: names for what, names in measured.items() if names}
    return [
        f"{what} {', '.join(f'{package} {version}' for package, version in names.items())}."
        for what, names in (known or {"The last stage ran with": run.record.versions}).items()
        if names
    ]


def _model_facts(model: ModelRecord | None) -> list[tuple[str, object]]:
    if model is None:
        return [("Model", "none yet")]
    layers = model.heads_per_layer
    pairs: list[tuple[str, object]] = [("Model", model.called)]
    if model.revision:
        pairs.append(("Revision", model.revision))
    pairs += [
        ("Weights hash", (model.weights_hash or "unknown")[:16]),
        ("Numbers", f"{model.dtype} on {model.device}"),
    ]
    if layers:
        pairs.append(
            ("Heads", f"{count(sum(layers), 'query head')} in {count(len(layers), 'layer')}")
        )
    return pairs


def _detect_facts(detection: DetectRecord) -> list[tuple[str, object]]:
    settings = detection.settings
    pairs: list[tuple[str, object]] = []
    if detection.n_probe is not None:
        criterion = settings.probe_criterion if settings else None
        chosen = f", chosen by {criterion}" if criterion else ""
        pairs.append(("Probe", f"{count(detection.n_probe, 'sample')}{chosen}"))
    if settings and settings.mode:
        pairs.append(("Ablation", f"{settings.mode}, {settings.ablation}"))
    if detection.noise_floor is not None:
        floor = f"{plain(detection.noise_floor)} nats a sample"
        if detection.noise_pairs:
            floor += f" ({count(detection.noise_pairs, 'pair')} again in {detection.noise_against})"
        pairs.append(("Noise floor", floor))
    elif detection.noise_unmeasured:
        pairs.append(("Noise floor", f"not measured: {detection.noise_unmeasured}"))
    if detection.probe_data is not None:
        pairs += [("Probe data", _file(file)) for file in detection.probe_data.files]
    return pairs


def _score_facts(scoring: ScoringRecord) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = [
        ("Scored text", scoring.text),
        ("Heads (layer.head)", ", ".join(f"{layer}.{head}" for layer, head in scoring.heads)),
        ("Rule", f"{scoring.heads_rule} by {scoring.rank_by}"),
        ("Longest input", f"{scoring.max_length} tokens"),
    ]
    pairs += [("Scored data", _file(file)) for data in scoring.data for file in data.files]
    return pairs


def _file(file: FileRecord) -> str:
    details = [f"{file.bytes:,} bytes"] if file.bytes is not None else []
    if file.revision:
        details.append(f"revision {file.revision}")
    if file.sha256:
        details.append(f"sha256 {file.sha256[:16]}…")
    return f"{file.name} ({', '.join(details)})" if details else file.name
