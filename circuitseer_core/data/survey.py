"""What would be read: columns, rows, rejects by reason, duplicates, lengths, without any model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from circuitseer_core.data.corpus import Corpus, FilePreview
from circuitseer_core.data.prompts import text_hash
from circuitseer_core.data.sample import Reject, Sample

Lengths = Callable[[list[str]], list[int]]
WhyNot = Callable[[Sample], str | None]
"""Why a sample cannot serve in a probe; None where it can."""
_CHUNK = 512
_QUANTILES = {"min": 0, "p5": 5, "p25": 25, "median": 50, "p75": 75, "p95": 95, "max": 100}
_NUMBERS = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows that fail alike: why (numbers left out), how many, and where the first stands."""

    reason: str
    rows: int
    first: str


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Prompts of ``low`` to ``high`` units, both included."""

    low: int
    high: int
    prompts: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What a corpus holds. ``samples + rejects == read``, and ``read == rows`` unless limited.

    duplicates: samples whose prompt, normalised, came before. with_response: samples that have one.
    probe: samples that could serve in a probe. length_unit: ``tokens`` or ``characters``, of
    prompts; quantiles: min, p5, p25, median, p75, p95 and max of them.
    """

    rows: int
    read: int
    samples: int
    rejects: int
    reasons: list[Reason]
    files: list[FilePreview]
    sources: dict[str, int]
    duplicates: int
    with_response: int
    response_items: str
    length_unit: str
    quantiles: dict[str, int]
    lengths: list[LengthBin]
    probe: int
    not_probe: list[Reason]


@dataclass(slots=True)
class _Tally:
    """Rows that fail, by reasons in which numbers are left out."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, where: str) -> None:
        kind = _NUMBERS.sub("…", reason)
        self.counts[kind] += 1
        self.first.setdefault(kind, where)

    def reasons(self) -> list[Reason]:
        """The commonest first."""
        return [Reason(kind, n, self.first[kind]) for kind, n in self.counts.most_common()]


def survey(
    corpus: Corpus,
    *,
    limit: int | None = None,
    tokens: Lengths | None = None,
    why_not: WhyNot | None = None,
) -> Survey:
    """Read a corpus and say what is in it.

    Args:
        limit: at most so many rows, from the beginning.
        tokens: prompts -> their numbers of tokens; without it lengths are in characters.
        why_not: without it a sample can serve in a probe where it has a response.

    Raises:
        UserError: as the corpus does. Memory: 8 bytes of hash (in a set) for each prompt.
    """
    head = corpus.preview(1)
    rejects, unfit = _Tally(), _Tally()
    sources: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    prompts: set[int] = set()
    samples = responses = probe = 0
    why_not = why_not or _no_response
    for chunk in _chunks(islice(corpus, limit)):
        usable = [entry for entry in chunk if isinstance(entry, Sample)]
        for entry in chunk:
            if isinstance(entry, Reject):
                rejects.add(entry.reason, entry.where)
        texts = [sample.prompt for sample in usable]
        lengths.update((tokens or _characters)(texts) if texts else [])
        for sample in usable:
            samples += 1
            sources[sample.source] += 1
            responses += sample.response is not None
            prompts.add(text_hash(sample.prompt))
            if (reason := why_not(sample)) is None:
                probe += 1
            else:
                unfit.add(reason, sample.id)
    rejected = rejects.counts.total()
    return Survey(
        rows=head.rows,
        read=samples + rejected,
        samples=samples,
        rejects=rejected,
        reasons=rejects.reasons(),
        files=head.files,
        sources=dict(sources.most_common()),
        duplicates=samples - len(prompts),
        with_response=responses,
        response_items=corpus.fields.response_items,
        length_unit="tokens" if tokens else "characters",
        quantiles=_quantiles(lengths),
        lengths=_bins(lengths),
        probe=probe,
        not_probe=unfit.reasons(),
    )


def _no_response(sample: Sample) -> str | None:
    return "no response" if sample.response is None else None


def _characters(texts: list[str]) -> list[int]:
    return [len(text) for text in texts]


def _chunks(entries: Iterable[Sample | Reject]) -> Iterator[Sequence[Sample | Reject]]:
    iterator = iter(entries)
    while chunk := list(islice(iterator, _CHUNK)):
        yield chunk


def _quantiles(lengths: Counter[int]) -> dict[str, int]:
    """Lengths such that at least this share of the prompts is no longer."""
    total = lengths.total()
    if not total:
        return {}
    wanted = [(name, -(-total * percent // 100)) for name, percent in _QUANTILES.items()]
    quantiles: dict[str, int] = {}
    seen = 0
    for length in sorted(lengths):
        seen += lengths[length]
        for name, rank in wanted:
            if name not in quantiles and seen >= rank:
                quantiles[name] = length
    return quantiles


def _bins(lengths: Counter[int]) -> list[LengthBin]:
    """Bins that double in width: 1, 2–3, 4–7, 8–15 …, from the first to the last with a prompt."""
    by_power: Counter[int] = Counter()
    for length, prompts in lengths.items():
        by_power[max(1, length).bit_length()] += prompts
    if not by_power:
        return []
    powers = range(min(by_power), max(by_power) + 1)
    return [LengthBin(2 ** (p - 1), 2**p - 1, by_power[p]) for p in powers]
