"""Samples for experiments that run the model: held out from the probe, or of data of one's own.

The probe chose the heads, so what it says of them owes something to that choice. Held-out samples
are of the probe's data but were no candidates for the probe, nor copies of one; candidates that
were not chosen are easier than others where the probe was chosen by loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from circuitseer_core.data.fields import Fields
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import announce

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel


def _parts(value: Any) -> Any:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_parts)]
"""An option of several words; as text they are separated by commas."""


def run_model(run: Run, dtype: str, device: str) -> ReferenceModel:
    """The run's model; ``dtype`` run is the one that detection used.

    Raises:
        UserError: it cannot be loaded, has changed since, or there is no such dtype or device.
    """
    from circuitseer_core.model.loading import load_run_model

    announce(run, "validate", "Loading the model")
    return load_run_model(run.model, run.model.dtype if dtype == "run" else dtype, device)


def held_out(
    run: Run, reference: ReferenceModel, *, limit: int, seed: int, max_tokens: int | None = None
) -> list[Encoded]:
    """At most ``limit`` samples of the probe's data that were no candidates, in hash order.

    Where the data holds no such, those that are not in the probe.

    Raises:
        UserError: the run does not name its probe's data, or nothing is left of it.
    """
    data = list(run.detection.settings.probe) if run.detection.settings else []
    if not data:
        raise UserError("this run does not say what its probe came from: give data=…")
    for seen in (run.pool(), run.probe()):
        samples = of_data(
            run,
            reference,
            data,
            limit=limit,
            seed=seed,
            max_tokens=max_tokens,
            without=set(seen["id"]),
            fields=_probe_fields(run),
        )
        if len(samples) >= 2:
            return samples
    raise UserError("the probe's data has nothing beside the probe: give data=… or set=probe")


def of_data(
    run: Run,
    reference: ReferenceModel,
    data: Sequence[str],
    *,
    limit: int,
    seed: int,
    max_tokens: int | None = None,
    without: set[str] | frozenset[str] = frozenset(),
    fields: Fields | None = None,
) -> list[Encoded]:
    """At most ``limit`` samples of DATA in hash order, encoded as the run's probe was.

    Args:
        max_tokens: longer samples are left out; None for the model's own bound.
        without: ids to leave out, with every other sample of the same prompt; nothing may be left.

    Raises:
        UserError: the data cannot be read, or no sample of it (with nothing left out) can serve.
    """
    from circuitseer_core.data.corpus import Corpus
    from circuitseer_core.detection.probe import encode_candidates
    from circuitseer_core.model.encoding import default_max_length, resolve_template

    detection = run.detection
    template = detection.template or resolve_template(reference.tokenizer, "auto")
    pool = encode_candidates(
        reference,
        _Without(Corpus(list(data), fields), frozenset(without)),
        size=limit,
        seed=seed,
        template=template,
        loss_tokens=detection.settings.loss_tokens if detection.settings else "response",
        max_length=default_max_length(reference.max_positions, max_tokens),
        or_none=bool(without),
    )
    return pool.samples


@dataclass(frozen=True, slots=True)
class _Without:
    """The entries of ``data`` without the samples ``ids`` and copies of their prompts."""

    data: Iterable[Sample | Reject]
    ids: frozenset[str]

    def __iter__(self) -> Iterator[Sample | Reject]:
        prompts = set()
        if self.ids:
            prompts = {
                text_hash(entry.prompt)
                for entry in self.data
                if isinstance(entry, Sample) and entry.id in self.ids
            }
        for entry in self.data:
            known = isinstance(entry, Sample) and (
                entry.id in self.ids or (prompts and text_hash(entry.prompt) in prompts)
            )
            if not known:
                yield entry


def _probe_fields(run: Run) -> Fields:
    """The field names that the run's probe was read with."""
    known = run.detection.probe_data
    return Fields(**{k: v for k, v in (known.fields if known else {}).items() if v})
