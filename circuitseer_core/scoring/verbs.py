"""The library's verbs that look with the live model, with loose options: inspect, ablate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from circuitseer_core.arguments import a_count, a_text, several_texts
from circuitseer_core.detection.ablate_settings import AblateSettings
from circuitseer_core.detection.heads import heads_rule, select_heads
from circuitseer_core.runs.any_run import AnyRun, place
from circuitseer_core.runs.commands import checked
from circuitseer_core.runs.folder import Run

if TYPE_CHECKING:
    from circuitseer_core.scoring.inspection import Inspection


def inspect(run: AnyRun, id: str, *, scoring: str = "default", heads: Any = None) -> Inspection:
    """One scored sample's attention, from the live model.

    Args:
        id: the sample's.
        scoring: which scoring it is in.
        heads: which heads; those that it was scored with by default.

    Returns ``tokens``, ``heads``, ``attention`` (n, S, S), ``profiles`` (n, T), ``profile`` (T,).

    Raises:
        UserError: unknown scoring, sample or head; no text at hand; another model than the run's.
    """
    from circuitseer_core.scoring.inspection import inspect_sample

    opened = Run.open(place(run))
    chosen = None if heads is None else select_heads(opened.heads(), heads_rule(heads))
    return inspect_sample(opened, a_text("id", id), a_text("scoring", scoring), heads=chosen)


def ablate(
    run: AnyRun, heads: Any, *, data: str | Sequence[str], limit: int = 200, **settings: Any
) -> pd.DataFrame:
    """The loss with several heads ablated at once, on any data.

    Args:
        heads: one set (``[(18, 8), (7, 2)]``, ``"18.8,7.2"``, rows of ``run.heads()``), or several.
        data: DATA specs, as on the command line.
        limit: at most so many samples, by hash.
        settings: any field of :class:`circuitseer_core.detection.ablate_settings.AblateSettings`:
            ``max_length`` (longer samples are left out, before ``limit``), ``device``,
            ``prompt_field``, …

    Returns:
        A row a set, the first of none: ``heads``, ``loss``, ``delta_loss`` and ``stderr`` (nats),
        ``n``. ``attrs["left_out"]`` counts samples that could not serve.

    Raises:
        UserError: no model in the run, unknown heads, or no usable sample.
    """
    from circuitseer_core.detection.joint import ablation_table, head_sets

    specs, most = several_texts("data", data), a_count("limit", limit)
    asked = checked(AblateSettings, data=specs, limit=most, **settings)
    return ablation_table(place(run), head_sets(heads), asked)
