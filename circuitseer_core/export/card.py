"""The dataset card: a README.md that says how the subset was chosen, with the numbers.

The front matter is the Hugging Face Hub's, so that the folder can be pushed as it is.
"""

from __future__ import annotations

from circuitseer_core import limits
from circuitseer_core.correlation import draws_in_words
from circuitseer_core.data.specs import short_name
from circuitseer_core.export.card_parts import (
    front_matter,
    marker,
    other_columns,
    reproduce,
    table,
    trainers,
)
from circuitseer_core.export.manifest import ExportManifest
from circuitseer_core.export.origin import chosen_by, scores_sentence
from circuitseer_core.markdown import code, inline
from circuitseer_core.runs.calibration_records import CalibrationRecord
from circuitseer_core.runs.selection_records import BenchmarkFile
from circuitseer_core.selection.removals import removal_lines
from circuitseer_core.selection.settings import SelectionSettings
from circuitseer_core.wording import count, drawn_first, percent, signed, tau


def dataset_card(manifest: ExportManifest, file_name: str, data_files: str) -> str:
    """The card of an export, from its manifest.

    Args:
        file_name: the exported file or folder.
        data_files: the pattern of data files for the Hub's viewer, relative to the card.
    """
    parts = [
        front_matter(manifest.export.rows, _title(manifest), data_files),
        marker(file_name),
        f"# {inline(_title(manifest))}",
        _how(manifest),
        *([f"**{inline(manifest.go_no_go)}**"] if manifest.go_no_go else []),
        "## The draw in numbers\n\n" + _numbers(manifest) + _caveats(manifest),
        "## Sources\n\n" + _sources(manifest) + _strata(manifest),
        "## Columns\n\n" + _columns(manifest),
        reproduce(manifest, file_name),
        *trainers(manifest.export.format, file_name),
    ]
    return "\n\n".join(parts) + "\n"


def _title(manifest: ExportManifest) -> str:
    return f"{manifest.run.name}: {manifest.selection.name}"


def _how(manifest: ExportManifest) -> str:
    selection = manifest.selection
    counts, settings = selection.counts, SelectionSettings.of(**selection.settings.to_json())
    lines = [
        f"{counts.selected:,} of {counts.rows:,} scored samples, {chosen_by(manifest)}.",
        scores_sentence(manifest),
        *([] if manifest.calibration is None else [_calibrated(manifest.calibration)]),
        (
            f"Draw: without replacement, {_chances(settings, selection.temperature)}, "
            f"{_budget(settings)}, seed {settings.seed}; "
            f"length control {settings.length_control}, strata {_by(settings)}."
        ),
    ]
    out = {
        "rejected while scoring": counts.rejected,
        "without a score": counts.no_score,
        "without a response": counts.no_response,
        "dropped by eye": counts.dropped,
        "excluded by id": counts.excluded_id,
        "excluded by text": counts.excluded_text,
        "with a benchmark's question": counts.contaminated,
        "duplicates of another prompt": counts.duplicate,
        "near-duplicates of another prompt": counts.near_duplicate,
        "included by wish": counts.included,
    }
    named = [f"{n:,} {what}" for what, n in out.items() if n]
    if named:
        lines.append("Beside the draw: " + ", ".join(named) + ".")
    lines += [f"{line}." for line in removal_lines(selection.removals)]
    if selection.removals and (contamination := selection.removals.contamination):
        lines.append(
            f"Benchmarks: {', '.join(_benchmark(file) for file in contamination.benchmarks)}."
        )
    lines.append("The rows keep the licences of the datasets that they came from.")
    return "\n\n".join(lines)


def _benchmark(file: BenchmarkFile) -> str:
    name = short_name(file.file)
    seal = f", SHA-256 {inline(file.sha256[:12])}" if file.sha256 else ""
    return f"{code(name)} ({count(file.questions, 'question')}{seal})"


def _calibrated(record: CalibrationRecord) -> str:
    """What the score is fitted to, and what came of it."""
    return (
        f"The score is fitted to {code(record.target.name)} ({record.target.rows:,} samples), a "
        "step beyond arXiv 2510.18470: ranks of a linear model of single heads' readings at fixed "
        f"length, each row by a fit that did not see it. {inline(' '.join(record.verdict[:1]))}"
    )


def _chances(settings: SelectionSettings, temperature: float) -> str:
    """What a row's chance is in proportion to."""
    score = "score"
    if settings.length_control != "none":
        score = "score at fixed length"
    if settings.lowest:
        score = f"(max + min - {score})"
    elif score != "score":
        score = f"({score})"
    shown = f"τ = {tau(temperature)}"
    if temperature == float("inf"):
        return f"all chances equal ({shown})"
    if temperature == 0:
        return f"the {'lowest' if settings.lowest else 'highest'} scores ({shown})"
    return f"chances proportional to {score}^(1/τ), {shown}"


def _budget(settings: SelectionSettings) -> str:
    if settings.match_lengths:
        return f"as many rows of every length as selection {code(settings.match_lengths)} has"
    if settings.tokens:
        return f"a budget of {settings.tokens:,} tokens ({settings.token_field})"
    if settings.count:
        return f"a budget of {settings.count:,} samples"
    return f"a budget of {settings.share or 0:.4g} of the pool"


def _by(settings: SelectionSettings) -> str:
    """How the strata share the budget, and which they are where they are not the sources."""
    by = "" if settings.stratify_by == "source" else f" by {code(settings.stratify_by)}"
    return settings.stratify + by


def _numbers(manifest: ExportManifest) -> str:
    d = manifest.diagnostics
    score, mass, overlap, length = d.score, d.mass, d.overlap, d.length
    rows = [
        ("samples drawn / in the pool", f"{d.rows:,} / {d.pool_rows:,}"),
        ("tokens drawn / in the pool", f"{d.tokens:,} / {d.pool_tokens:,}"),
        ("effective sample size of the draw", f"{d.ess:,.0f} ({_percent(d.ess_share)})"),
        ("entropy, as a share of uniform", _percent(d.entropy_share)),
        ("Gini of the chances", _number(d.gini)),
        ("mean score, subset / pool", f"{_number(score.subset)} / {_number(score.pool)}"),
        ("lift over random", _percent(score.lift)),
        ("lift of top-k", _percent(score.top_k_lift)),
        ("share of the total score", _percent(mass.subset)),
        ("overlap with top-k", _percent(overlap.top_k)),
        ("overlap with a random draw", _percent(overlap.random)),
        ("overlap with other seeds, mean", _percent(overlap.seeds_mean)),
        ("Spearman of score and length", _number(length.spearman)),
    ]  # fmt: skip
    if control := d.control:
        value = _number(control.spearman)
        if control.draws:
            value += f" ({draws_in_words(control.draws, control.interval)})"
        rows.append(("Spearman of the score and random heads' score", value))
    return table(("measure", "value"), rows)


def _caveats(manifest: ExportManifest) -> str:
    """What a reader should know before trusting the subset, in words, where a number says so."""
    d = manifest.diagnostics
    caveats = []
    if limits.hardly_steered(d.ess_share, d.overlap.top_k, d.overlap.random_expected):
        first = drawn_first(bool(manifest.selection.settings.to_json().get("lowest")))
        caveats.append(
            f"The scores hardly steer the draw: {_percent(d.overlap.top_k)} of the subset is among "
            f"the {first} samples (chance {_percent(d.overlap.random_expected)}), and its "
            f"effective sample size is {_percent(d.ess_share)} of the pool, so the subset is close "
            "to a random one."
        )
    rho = d.length.spearman_controlled
    uniform, matched = manifest.selection.temperature == float("inf"), manifest.selection.lengths
    by_score = not uniform and matched is None
    if by_score and rho is not None and limits.length_drives(rho):
        which = "longer" if rho > 0 else "shorter"
        caveats.append(
            f"The draw favours {which} texts: Spearman {signed(rho)} with the token count."
        )
    control = d.control
    if control and limits.like_random_heads(control.spearman):
        draws = ""
        if control.draws:
            draws = f" ({draws_in_words(control.draws, control.interval)})"
        caveats.append(
            "Random heads of the same layers rank the samples almost alike: Spearman "
            f"{signed(control.spearman)}{draws} on {control.rows:,} rows."
        )
    return "".join(f"\n\n{text}" for text in caveats)


def _sources(manifest: ExportManifest) -> str:
    rows = [
        (
            inline(s.source),
            f"{s.pool:,}",
            f"{s.rows:,}",
            _percent(s.pool_share),
            _percent(s.share),
            f"{_percent(s.low)} to {_percent(s.high)}",
        )
        for s in manifest.diagnostics.sources
    ]
    head = ("source", "pool", "drawn", "share of pool", "share of subset", "other seeds (95 %)")
    return table(head, rows)


def _strata(manifest: ExportManifest) -> str:
    """Before and after of the column that shared the budget; nothing where that is the source."""
    rows = [
        (inline(s.value), f"{s.pool:,}", f"{s.rows:,}", _percent(s.pool_share),
         _percent(s.share))
        for s in manifest.diagnostics.strata
    ]  # fmt: skip
    if not rows:
        return ""
    name = SelectionSettings.of(**manifest.selection.settings.to_json()).stratify_by
    head = (inline(name), "pool", "drawn", "share of pool", "share of subset")
    return f"\n\n{table(head, rows)}"


def _columns(manifest: ExportManifest) -> str:
    export = manifest.export
    prefix = export.prefix
    score = "the score the sample was drawn by"
    if manifest.selection.temperature == float("inf"):
        score = f"its {code(manifest.selection.settings.scorer)}, by which it was not drawn"
    lines = [
        "The original columns, untouched, and:",
        (
            f"- `{prefix}id`: the sample's id in the run\n"
            f"- `{prefix}score`: {score}\n"
            f"- `{prefix}rank`: its place in the draw, from 1; the file is in this order\n"
            f"- `{prefix}probability`: its chance to be the first one drawn\n"
            f"- `{prefix}source`: the dataset it came from"
        ),
    ]
    return "\n\n".join([*lines, *other_columns(export)])


def _percent(value: float | None) -> str:
    return "n/a" if value is None else percent(value, 1)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"
