"""Samples for experiments that run the model: held out from the probe, or of data of one's own.

The probe chose the heads, so what it says of them owes something to that choice. Held-out samples
are of the probe's data but were no candidates for the probe, nor copies of one; candidates that
were not chosen are easier than others where the probe was chosen by loss. Of data of one's own the
probe's samples are left out too, by their prompts, since there they may have other ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator

from circuitseer_core.data.fields import Fields
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.sample import Reject, Sample
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.option_lists import parted
from circuitseer_core.runs.progress import announce
from circuitseer_core.runs.reading import probe_fields, read_as
from circuitseer_core.wording import count

if TYPE_CHECKING:
    from circuitseer_core.model.encoding import Encoded
    from circuitseer_core.model.reference import ReferenceModel


Words = Annotated[tuple[str, ...], BeforeValidator(parted)]
"""An option of several words; as text they are separated by commas."""


def run_model(
    run: Run,
    dtype: str,
    device: str,
    *,
    data: Sequence[str] = (),
    asked: Fields | None = None,
    own: Sequence[str] = (),
    max_tokens: int | None = None,
) -> ReferenceModel:
    """The run's model; ``dtype`` run is the one that detection used.

    Args:
        data: the DATA that it is for; what cannot be read is refused before the model is loaded.
        asked: the columns of ``data`` that a person named.
        own: further DATA, which the run itself names.
        max_tokens: refused where the model has fewer positions, before its weights are read.

    Raises:
        UserError: it cannot be loaded, has changed since, or there is no such dtype or device; or
            the data, see above.
    """
    from circuitseer_core.model.encoding import default_max_length
    from circuitseer_core.model.loading import load_run_model

    for spec in data:
        read_as([spec], probe_fields(run), asked)
    for spec in own:
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
        fields: the names to read it by, where a person named them or they alone give the ids of
            ``without``.
        serves: why a sample cannot serve, before ``limit``; None where it can.

    Raises:
        UserError: the data cannot be read, or no sample of it (with nothing left out) can serve.
    """
    rest = Without(read_as(data, probe_fields(run), fields), frozenset(without))
    which = (limit, seed, max_tokens)
    return _encoded(run, reference, rest, which, or_none=bool(without), serves=serves)


def beside_probe(
    run: Run,
    reference: ReferenceModel,
    data: Sequence[str],
    *,
    limit: int,
    seed: int,
    max_tokens: int | None = None,
    asked: Fields | None = None,
    serves: Callable[[Encoded], str | None] | None = None,
) -> tuple[list[Encoded], int]:
    """As :func:`of_data`, without what asks the same as a sample of the run's probe or contrast
    set; with how many samples of DATA that were.

    Args:
        asked: the columns of DATA that a person named.

    Raises:
        UserError: the data cannot be read, or no sample of it beside the probe can serve.
    """
    rest = Without(read_as(data, probe_fields(run), asked), prompts=probe_prompts(run))
    which = (limit, seed, max_tokens)
    samples = _encoded(run, reference, rest, which, or_none=True, serves=serves)
    if samples:
        return samples, rest.left_out
    if rest.left_out:
        raise UserError(
            f"the data has nothing that can serve beside the run's probe "
            f"({rest.left_out:,} of its samples are in it)"
        )
    return _encoded(run, reference, rest, which, or_none=False, serves=serves), 0  # says why


def probe_prompts(run: Run) -> frozenset[int]:
    """Hashes of the prompts of the run's probe and contrast set; none where their data is gone."""
    settings = run.detection.settings
    if settings is None or not run.probe_path.is_file():  # heads of elsewhere
        return frozenset()
    ids = set(run.probe()["id"])
    prompts: set[int] = set()
    for data in (settings.probe, settings.contrast):
        if not data:
            continue
        try:
            rows = Without(read_as(data, probe_fields(run), probe_fields(run)), frozenset(ids))
            prompts |= rows.prompts_to_leave_out()
        except UserError:  # moved or changed since
            continue
    return frozenset(prompts)


def left_out_words(numbers: Mapping[str, Any]) -> str:
    """How many samples of the data were left out for the probe; nothing where none were."""
    left_out = int(numbers.get("left_out") or 0)
    were = "was" if left_out == 1 else "were"
    of_probe = f" {count(left_out, 'sample')} of the data {were} left out: the probe asks the same."
    return of_probe if left_out else ""


def _encoded(
    run: Run,
    reference: ReferenceModel,
    rows: Iterable[Sample | Reject],
    which: tuple[int, int, int | None],
    *,
    or_none: bool,
    serves: Callable[[Encoded], str | None] | None,
) -> list[Encoded]:
    """Of ``rows`` those ``which``: at most so many, by a seed, of at most so many tokens."""
    from circuitseer_core.detection.probe import AS_THE_PROBE, encode_candidates
    from circuitseer_core.model.encoding import default_max_length, resolve_template

    limit, seed, max_tokens = which
    detection = run.detection
    pool = encode_candidates(
        reference,
        rows,
        size=limit,
        seed=seed,
        template=detection.template or resolve_template(reference.tokenizer, "auto"),
        loss_tokens=detection.settings.loss_tokens if detection.settings else "response",
        max_length=default_max_length(reference.max_positions, max_tokens),
        or_none=or_none,
        serves=serves,
        hints=AS_THE_PROBE,
    )
    return pool.samples


@dataclass(slots=True)
class Without:
    """The entries of ``data`` without the samples ``ids``, copies of their prompts, and
    ``prompts`` (text_hash). ``left_out``: how many that were when it was last read through."""

    data: Iterable[Sample | Reject]
    ids: frozenset[str] = frozenset()
    prompts: frozenset[int] = frozenset()
    left_out: int = 0

    def __iter__(self) -> Iterator[Sample | Reject]:
        prompts = self.prompts_to_leave_out()
        self.left_out = 0
        for entry in self.data:
            known = isinstance(entry, Sample) and (
                entry.id in self.ids or (prompts and text_hash(entry.prompt) in prompts)
            )
            self.left_out += bool(known)
            if not known:
                yield entry

    def prompts_to_leave_out(self) -> frozenset[int]:
        """Those named, and the prompts of the samples named."""
        if not self.ids:
            return self.prompts
        return self.prompts | {
            text_hash(entry.prompt)
            for entry in self.data
            if isinstance(entry, Sample) and entry.id in self.ids
        }
