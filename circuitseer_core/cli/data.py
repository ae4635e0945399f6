"""``circuitseer data``: what would be read from DATA, before any model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Annotated

import typer

from circuitseer_core.cli import options as opt
from circuitseer_core.cli.from_settings import takes
from circuitseer_core.cli.options import quiet_libraries
from circuitseer_core.cli.output import Outcome, telling
from circuitseer_core.data.fields import Fields
from circuitseer_core.data.specs import DATA_SPEC
from circuitseer_core.data.survey import Reason, Survey
from circuitseer_core.runs.survey_settings import SurveySettings
from circuitseer_core.wording import count, percent

_BAR, _MOST_REASONS, _MOST_SOURCES = 40, 8, 12


@takes(SurveySettings)
def data(
    data: Annotated[list[str], typer.Argument(help=DATA_SPEC, show_default=False)],
    settings: SurveySettings,
    json: opt.Json = False,
) -> None:
    """What would be read, without a model: columns and rows."""
    from circuitseer_core.model.data_survey import survey_data

    with telling(False, json) as tell:
        if settings.model is not None:
            quiet_libraries()
        survey = survey_data(
            data,
            Fields.of(settings),
            model=settings.model,
            revision=settings.revision,
            max_length=settings.max_length,
            limit=settings.limit,
        )
        tell(lambda: Outcome({"command": "data", **asdict(survey)}, list(lines(survey))))


def lines(survey: Survey) -> Iterator[str]:
    """The survey for a terminal."""
    for file in survey.files:
        yield f"{file.name} ({file.format}): {count(file.rows, 'row')}, source {file.source}"
        yield f"  columns: {', '.join(map(str, file.columns)) or 'none'}"
        yield f"  read as: {file.layout}"
    yield ""
    first = "" if survey.read == survey.rows else f" (looked at the first {survey.read:,})"
    rows, samples = count(survey.rows, "row"), count(survey.samples, "sample")
    yield f"{rows}{first}: {samples}, {count(survey.rejects, 'reject')}"
    yield from _reasons(survey.reasons)
    repeated = _share(survey.duplicates, survey.samples)
    verb = "repeats" if survey.duplicates == 1 else "repeat"
    yield f"{count(survey.duplicates, 'sample')} {verb} a prompt ({repeated})"
    verb = "has" if survey.with_response == 1 else "have"
    yield f"{count(survey.with_response, 'sample')} {verb} a response"
    probe = count(survey.probe, "sample")
    unsure = "" if survey.length_unit == "tokens" else "; name a --model to check lengths too"
    yield f"{probe} could serve in a probe ({_share(survey.probe, survey.samples)}){unsure}"
    yield from _reasons(survey.not_probe)
    if len(survey.sources) > 1:
        shown = list(survey.sources.items())[:_MOST_SOURCES]
        left = len(survey.sources) - len(shown)
        more = f" and {left} more" if left else ""
        yield "sources: " + ", ".join(f"{name} {rows:,}" for name, rows in shown) + more
    if survey.lengths:
        yield ""
        middle = ", ".join(f"{name} {length:,}" for name, length in survey.quantiles.items())
        yield f"prompts in {survey.length_unit}: {middle}"
        yield from _histogram(survey)


def _reasons(reasons: list[Reason]) -> Iterator[str]:
    for reason in reasons[:_MOST_REASONS]:
        yield f"  {reason.rows:,} × {reason.reason} (first: {reason.first})"
    if len(reasons) > _MOST_REASONS:
        rest = sum(reason.rows for reason in reasons[_MOST_REASONS:])
        yield f"  {rest:,} for {len(reasons) - _MOST_REASONS} other reasons"


def _histogram(survey: Survey) -> Iterator[str]:
    most = max(bin.prompts for bin in survey.lengths)
    names = [f"{bin.low:,}–{bin.high:,}" for bin in survey.lengths]
    width = max(map(len, names))
    for name, bin in zip(names, survey.lengths, strict=True):
        bar = "█" * max(round(_BAR * bin.prompts / most), int(bin.prompts > 0))
        yield f"  {name:>{width}} {bar} {bin.prompts:,}"


def _share(part: int, whole: int) -> str:
    return percent(part / whole, 1) if whole else "none"
