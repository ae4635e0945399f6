"""selection.json as a typed record: settings, counts, and the diagnostics of a draw.

Shares and overlaps are fractions of 1, entropies nats. ``None`` stands for what is undefined (the
lift over a mean of 0, a correlation with a constant).
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from pydantic import Field, field_serializer

from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.runs.records import Record

SELECTION_FORMAT = 1


class SelectionOptions(Record):
    """Of the settings of a selection those that packages below ``selection`` read."""

    name: str
    scores: str = "default"
    scorer: str
    temperature: float
    length_control: str
    stratify: str
    stratify_by: str = "source"
    seed: int

    @field_serializer("temperature")
    def _plain(self, value: float) -> float | str:
        return plain_temperature(value)


class LengthTarget(Record):
    """The lengths that a draw was to have: rows wanted between neighbouring edges (in tokens).

    ``edges`` (B-1,): a row of t tokens is in bin ``searchsorted(edges, t, "right")``; ``rows``
    (B,): how many each bin gives; ``of``: the selection whose lengths these are.
    """

    of: str
    edges: list[float]
    rows: list[int]


class ListFile(Record):
    """A list as it was read: which rule it served, and how many ids and texts it named.

    ``rows``: of the pool that it named (None in selections of before); ``ambiguous``: ids that name
    none, as several sources have them; ``is_id``: it is no file but an id.
    """

    rule: str
    file: str
    ids: int = 0
    texts: int = 0
    rows: int | None = None
    ambiguous: int | None = None
    is_id: bool = False
    sha256: str | None = None


class ListsRecord(Record):
    """What the lists and judgements came to: a hash over lists.parquet, its rows, the files."""

    sha256: str
    rows: int = 0
    files: list[ListFile] = Field(default_factory=list)


class BenchmarkFile(Record):
    """A benchmark as it was read: its questions, and how many had fewer words than a run."""

    file: str
    questions: int = 0
    short: int = 0
    sha256: str | None = None


class SharedRun(Record):
    """A run of words that rows share with a benchmark, and how many were removed for it."""

    words: str
    rows: int


class ContaminationRecord(Record):
    """Rows removed since they hold a benchmark's questions.

    ``n``: words of a run; ``removed``: rows; ``common``: the runs that most of them were found by.
    """

    n: int
    benchmarks: list[BenchmarkFile] = Field(default_factory=list)
    removed: int = 0
    common: list[SharedRun] = Field(default_factory=list)


class NearDuplicateRecord(Record):
    """Rows removed since another prompt is nearly the same.

    ``shingle``: words of a run; ``threshold``: of the Jaccard index; ``candidates``: pairs that
    were compared exactly, ``pairs``: those at or above the threshold; ``removed``: rows.
    """

    threshold: float
    shingle: int
    permutations: int
    bands: int
    candidates: int = 0
    pairs: int = 0
    removed: int = 0


class RemovalsRecord(Record):
    """What removed.parquet holds: a hash over it, its rows, and where they come from."""

    sha256: str
    rows: int = 0
    contamination: ContaminationRecord | None = None
    near_duplicates: NearDuplicateRecord | None = None


class Counts(Record):
    """Rows of the pool by what became of them, and the subset's rows and tokens."""

    rejected: int = 0
    rows: int = 0
    eligible: int = 0
    dropped: int = 0
    excluded_id: int = 0
    excluded_text: int = 0
    no_score: int = 0
    no_response: int = 0
    duplicate: int = 0
    contaminated: int = 0
    near_duplicate: int = 0
    included: int = 0
    included_but_out: int = 0
    selected: int = 0
    tokens: int = 0


class ScoreMeans(Record):
    """Mean scores; ``random_sd``: spread of a random subset's mean; ``z``: in units of it."""

    pool: float
    subset: float
    top_k: float
    random_sd: float
    lift: float | None
    top_k_lift: float | None
    z: float | None


class Mass(Record):
    """Share of the pool's total score that the subset, top-k and a random subset hold."""

    subset: float | None
    top_k: float | None
    random: float


class Overlap(Record):
    """Share of the subset that top-k, a uniform draw and other seeds would also take."""

    top_k: float
    random: float
    random_expected: float
    seeds: list[float]
    seeds_mean: float | None


class SourceShare(Record):
    """A source before and after; ``low`` and ``high`` bound 95 % of the simulated shares."""

    source: str
    pool: int
    pool_share: float
    rows: int
    share: float
    expected: float
    low: float
    high: float
    pool_score: float | None
    score: float | None


class StratumShare(Record):
    """A value of the column that a draw was stratified by, before and after."""

    value: str
    pool: int
    pool_share: float
    rows: int
    share: float


class Distribution(Record):
    """Histograms over shared edges, quantiles, means, and the Kolmogorov-Smirnov distance."""

    edges: list[float]
    pool: list[int]
    subset: list[int]
    quantiles: list[float]
    pool_quantiles: list[float]
    subset_quantiles: list[float]
    pool_mean: float
    subset_mean: float
    ks: float


class Distributions(Record):
    """Of the score, and of the length in tokens."""

    score: Distribution
    length: Distribution


class LengthCorrelation(Record):
    """Spearman with the token count, of the scores and of the weights after length control."""

    spearman: float | None
    spearman_controlled: float | None


class ControlCorrelation(Record):
    """Spearman of the scorer with itself on random heads: mean over ``draws``; most rows used.

    ``interval``: 95 % of the mean; None of one draw, and where it was not recorded.
    """

    spearman: float
    rows: int
    draws: int | None = None
    interval: tuple[float, float] | None = None


class Simulated(Record):
    """How many other seeds were drawn, on how many rows."""

    seeds: int
    rows: int


class Diagnostics(Record):
    """Everything that is reported of a draw."""

    pool_rows: int
    rows: int
    tokens: int
    pool_tokens: int
    temperature: float
    entropy: float
    entropy_share: float
    ess: float
    ess_share: float
    gini: float
    score: ScoreMeans
    mass: Mass
    overlap: Overlap
    sources: list[SourceShare]
    strata: list[StratumShare] = Field(default_factory=list)
    simulated: Simulated | None = None
    distributions: Distributions | None = None
    length: LengthCorrelation
    control: ControlCorrelation | None = None

    @field_serializer("temperature")
    def _plain(self, value: float) -> float | str:
        return plain_temperature(value)


class Rival(Record):
    """A draw against draws of another kind, over simulated seeds.

    ``own``: share of the draw that a second draw from the same scores has, ``other``: the rival's;
    ``gap``, with its 95 % interval ``low`` to ``high``: the difference; ``draws`` of random heads;
    ``lift``: mean score over the rival's, less 1; ``sources_moved``: total variation distance.
    """

    own: float
    other: float
    gap: float
    low: float
    high: float
    draws: int = 1
    lift: float | None = None
    sources_moved: float = 0.0


class Distinctness(Record):
    """Whether a draw can be told from length-matched random rows and from random heads' draws, of
    which there are none for the reason ``heads_unknown``."""

    seeds: int
    rows: int
    length: Rival
    heads: Rival | None = None
    heads_unknown: str | None = None


class SelectionRecord(Record):
    """selection.json. ``distinct_unknown``: why rivals could not be drawn, where they could not."""

    latest_format = SELECTION_FORMAT
    format: int
    name: str
    created: str = ""
    settings: SelectionOptions
    temperature: float
    scores: str = "default"
    text: ScoredPart = "prompt"
    counts: Counts
    prompts_compared: bool = False
    lists: ListsRecord | None = None
    removals: RemovalsRecord | None = None
    lengths: LengthTarget | None = None
    clusters: str | None = None
    pool_hash: str | None = None
    ids_hash: str | None = None
    diagnostics: Diagnostics | None = None
    distinct: Distinctness | None = None
    distinct_unknown: str | None = None
    command: str | None = None
    python: str | None = None
    versions: dict[str, str] = Field(default_factory=dict)
    seconds: float | None = None

    @field_serializer("temperature")
    def _plain(self, value: float) -> float | str:
        return plain_temperature(value)


def newest_of(
    records: Iterable[SelectionRecord], scoring: str | None, scorer: str | None = None
) -> SelectionRecord | None:
    """Of records, newest first, the newest draw from a scoring (and by a scorer, if named)."""
    for record in records:
        if record.scores == scoring and scorer in (None, record.settings.scorer):
            return record
    return None


def plain_temperature(value: float) -> float | str:
    """JSON has no infinity: ``inf`` as text, as it is typed."""
    return "inf" if math.isinf(value) else value
