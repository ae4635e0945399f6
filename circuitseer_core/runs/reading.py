"""By which field names a run's data was read, and other data read by them.

Data that is given to a run later (held-out problems, lists, benchmarks) is often of the same kind:
where its columns are those that the run was told of, they mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from circuitseer_core.data.corpus import Corpus
from circuitseer_core.data.fields import Fields
from circuitseer_core.errors import UserError
from circuitseer_core.runs.folder import Run
from circuitseer_core.runs.records import DataRecord


def probe_fields(run: Run) -> Fields:
    """The field names that the run's probe was read with."""
    return _named(run.detection.probe_data)


def scored_fields(run: Run, scores: str) -> Fields:
    """The field names that a scoring's data was read with."""
    return _named(next(iter(run.scoring(scores).data), None))


def _named(data: DataRecord | None) -> Fields:
    return Fields(**{k: v for k, v in (data.fields if data else {}).items() if v})


def read_as(specs: Sequence[str], known: Fields, asked: Fields | None = None) -> Corpus:
    """A corpus whose files are all there, with rows that have a prompt.

    Args:
        known: names to read it by where it has them all, or at least the texts'; else names are
            recognised.
        asked: names that a person gives now: these alone, where there are any.

    Raises:
        UserError: as :class:`Corpus` and its ``count``.
    """
    if asked is not None and asked.named():
        tried = [asked]
    else:
        items = known.response_items
        tried = [
            known,
            Fields(prompt=known.prompt, response=known.response, response_items=items),
            Fields(prompt=known.prompt, response_items=items),
            Fields(response_items=items),
        ]
    *first, last = dict.fromkeys(tried)
    for fields in first:
        try:
            corpus = Corpus(specs, fields)
            corpus.count()
        except UserError:
            continue
        return corpus
    corpus = Corpus(specs, last)
    corpus.count()
    return corpus
