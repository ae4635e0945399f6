"""Samples for experiments that run the model: held out from the probe, or of data of one's own.

The probe chose the heads, so what it says of them owes something to that choice. Held-out samples
are of the probe's data but were no candidates for the probe, nor copies of one; candidates that
were not chosen are easier than others where the probe was chosen by loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from circuitseer_core.data.fields import Fields
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.progress import announce
from circuitseer_core.runs.reading import probe_fields, read_as

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel


def _parts(value: Any) -> Any:
    return [part for part in value.split(",") if part] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], BeforeValidator(_parts)]
"""An option of several words; as text they are separated by commas."""


def run_model(
    run: Run, dtype: str, device: str, *, data: Sequence[str] = (), max_tokens: int | None = None
) -> ReferenceModel:
    """The run's model; ``dtype`` run is the one that detection used.

    Args:
        data: the DATA that it is for; what cannot be read is refused before the model is loaded.
        max_tokens: refused where the model has fewer positions, before its weights are read.

    Raises:
        UserError: it cannot be loaded, has changed since, or there is no such dtype or device; or
            the data, see above.
    """
    from circuitseer_core.model.encoding import default_max_length
    from circuitseer_core.model.loading import load_run_model

    for spec in data:
        read_as([spec], probe_fields(run))
    announce(run, "validate", "Loading the model")
    return load_run_model(
        run.model,
        run.model.dtype if dtype == "run" else dtype,
        device,
        check=lambda positions, _: default_max_length(positions, max_tokens),
    )


def probe_data(run: Run) -> list[str]:
    """The DATA that the run's probe came from. Raises UserError where the run does not say."""
    data = list(run.detection.settings.probe) if run.detection.settings else []
    if not data:
        raise UserError("this run does not say what its probe came from: give data=…")
    return data


def held_out(
    run: Run, reference: ReferenceModel, *, limit: int, seed: int, max_tokens: int | None = None
) -> list[Encoded]:
    """At most ``limit`` samples of the probe's data that were no candidates, in hash order.

    Where the data holds no such, those that are not in the probe.

    Raises:
        UserError: the run does not name its probe's data, or nothing is left of it.
    """
    data = probe_data(run)
    for seen in (run.pool(), run.probe()):
        samples = of_data(
            run,
            reference,
            data,
            limit=limit,
            seed=seed,
            max_tokens=max_tokens,
            without=set(seen["id"]),
            fields=probe_fields(run),
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
    serves: Callable[[Encoded], str | None] | None = None,
) -> list[Encoded]:
    """At most ``limit`` samples of DATA in hash order, read and encoded as the run's probe was.

    Args:
        max_tokens: longer samples are left out; None for the model's own bound.
        without: ids to leave out, with every other sample of the same prompt; nothing may be left.
        fields: the names to read it by, where they alone give the ids of ``without``.
        serves: why a sample cannot serve, before ``limit``; None where it can.

    Raises:
        UserError: the data cannot be read, or no sample of it (with nothing left out) can serve.
    """
    from circuitseer_core.detection.probe import AS_THE_PROBE, encode_candidates
    from circuitseer_core.model.encoding import default_max_length, resolve_template

    detection = run.detection
    template = detection.template or resolve_template(reference.tokenizer, "auto")
    pool = encode_candidates(
        reference,
        _Without(read_as(data, probe_fields(run), fields), frozenset(without)),
        size=limit,
        seed=seed,
        template=template,
        loss_tokens=detection.settings.loss_tokens if detection.settings else "response",
        max_length=default_max_length(reference.max_positions, max_tokens),
        or_none=bool(without),
        serves=serves,
        hints=AS_THE_PROBE,
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
