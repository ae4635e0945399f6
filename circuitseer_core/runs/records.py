"""The JSON files of a run as typed records: run.json, settings.json, progress.json, job.json.

One rule for all: a key that this version does not know is kept and written back, so a file that a
newer version wrote survives an update by an older one; a known key of a wrong type is one clear
line that names file and key. Only keys that were set are written. A file of a later ``format`` is
refused in one line: its known keys may mean something else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from circuitseer_core.aliases import Head
from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.errors import LaterFormatError, UserError
from circuitseer_core.files import write_json
from circuitseer_core.installation import DEMO_MODEL
from circuitseer_core.json_io import read_json
from circuitseer_core.runs.machine import WeightBits

RUN_FORMAT = 1
SCORING_FORMAT = 1
AnyRecord = TypeVar("AnyRecord", bound="Record")


class Record(BaseModel):
    """A JSON object on disk, or a part of one; see the head of this module."""

    model_config = ConfigDict(extra="allow", validate_assignment=True, protected_namespaces=())
    latest_format: ClassVar[int | None] = None
    """The last format that this version knows, of records that have one."""

    @classmethod
    def parse(cls, value: Any, where: Path) -> Self:
        """The record that ``value`` is. Raises UserError naming ``where`` and the first bad key, or
        that a later version wrote it."""
        form = value.get("format") if isinstance(value, dict) else None
        if cls.latest_format is not None and isinstance(form, int) and form > cls.latest_format:
            raise LaterFormatError(
                f"{where} was written by a later version of CircuitSeer (format {form}, this one "
                f"reads {cls.latest_format}): update it"
            )
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            problem = f"{key}: {first['msg']}" if key else first["msg"]
            raise UserError(f"{where} cannot be read: {problem}") from error

    @classmethod
    def read(cls, path: Path) -> Self:
        """The record in a file. Raises UserError where it is unreadable or no such record."""
        return cls.parse(read_json(path), path)

    def to_json(self) -> dict[str, Any]:
        """The object as it is written: keys that were set, in JSON's types."""
        return self.model_dump(mode="json", exclude_unset=True)

    def write(self, path: Path) -> None:
        """Write the file, atomically."""
        write_json(path, self.to_json())


class FileRecord(Record):
    """One data file (or package, or Hub dataset) as it was read."""

    name: str
    source: str | None = None
    bytes: int | None = None
    rows: int | None = None
    sha256: str | None = None
    revision: str | None = None


class DataRecord(Record):
    """What identifies a corpus: a hash over its files, and the field names that were given.

    ``response_items``: which text was taken of a response that is a list.
    """

    sha256: str | None = None
    fields: dict[str, str | None] = {}
    files: list[FileRecord] = []
    response_items: str | None = None


class ModelRecord(Record):
    """The reference model: ``id`` as it was asked for, and the hashes that pin it."""

    id: str
    revision: str | None = None
    architecture: str | None = None
    weights_hash: str | None = None
    tokenizer_hash: str | None = None
    dtype: str = "fp32"
    weight_bits: WeightBits = "all"
    device: str = "cpu"
    n_layers: int | None = None
    heads_per_layer: list[int] = []
    parameters: float | None = None

    @property
    def called(self) -> str:
        """The model's real name, which ``demo`` is not."""
        return DEMO_MODEL if self.id == "demo" else self.id


class CommandRecord(Record):
    """One command line that worked on the run; ``command`` is None for a call from Python."""

    stage: str
    command: str | None = None
    at: str = ""


class DetectOptions(Record):
    """Of the settings of a detection those that other packages read."""

    model: str | None = None
    mode: str | None = None
    probe: list[str] = []
    probe_size: int | None = None
    probe_pool: int | None = None
    probe_criterion: str | None = None
    contrast: list[str] = []
    loss_tokens: str = "response"
    ablation: str = "uniform"
    epsilon: float = 0.0


class HeadsSource(Record):
    """A head map from elsewhere that heads were taken from.

    ``sha256``: of the map's table; ``weights_hash``: of the model that it was measured on, with
    ``n_probe`` samples (None in scorings of before).
    """

    repo: str | None = None
    revision: str | None = None
    sha256: str
    weights_hash: str | None = None
    n_probe: int | None = None


class DetectRecord(Record):
    """The section ``detect`` of run.json.

    ``*_left_out``: samples that could not serve, by reason; ``*_pool_seen``: rows in the data;
    ``command``, ``python``: what makes this detection again. ``noise_floor``: nats; what it is a
    root mean square of is said by ``noise_pairs`` (pairs that were repeated), ``noise_against`` (in
    which precision) and ``noise_effect`` (their median |ΔL|, nats); without these, of repeated
    clean runs. ``noise_unmeasured``: why there is none. ``batch_spread``: nats, of clean losses
    repeated inside stacks. ``evaluations``: (sample, head) pairs measured, of both sets.
    ``estimate_s``: what the work was thought to take, after a short measurement. ``heads_from``: a
    map that was pulled in place of a detection. ``versions``: of what measured, several of a
    package with commas between them; empty in runs of before.
    """

    settings: DetectOptions | None = None
    command: str | None = None
    python: str | None = None
    heads_from: HeadsSource | None = None
    versions: dict[str, str] = {}
    template: str | None = None
    max_length: int | None = None
    probe_data: DataRecord | None = None
    probe_left_out: dict[str, int] = {}
    probe_pool_seen: int | None = None
    contrast_data: DataRecord | None = None
    contrast_left_out: dict[str, int] = {}
    contrast_pool_seen: int | None = None
    replay: bool | None = None
    stack_tokens: int | None = None
    stack_tokens_reduced: int | None = None
    finished: str | None = None
    noise_floor: float | None = None
    noise_pairs: int | None = None
    noise_against: str | None = None
    noise_effect: float | None = None
    noise_unmeasured: str | None = None
    batch_spread: float | None = None
    n_probe: int | None = None
    n_heads: int | None = None
    evaluations: int | None = None
    estimate_s: float | None = None


class RunRecord(Record):
    """run.json. ``seconds``: time spent in each stage, all its attempts together."""

    format: int
    name: str = ""
    created: str | None = None
    state: str = "new"
    versions: dict[str, str] = {}
    commands: list[CommandRecord] = []
    model: ModelRecord | None = None
    detect: DetectRecord | None = None
    seconds: dict[str, float] = {}

    @classmethod
    def of_run(cls, folder: Path) -> Self:
        """run.json of a run folder. Raises UserError where it is broken or of another format."""
        record = cls.read(folder / "run.json")
        if record.format != RUN_FORMAT:
            raise UserError(f"{folder} was written in run format {record.format}, not {RUN_FORMAT}")
        return record


class AppliedCalibration(Record):
    """Which calibration a scoring's column ``calibrated`` comes from; ``sha256`` of its fits."""

    name: str
    sha256: str


class ImportFile(Record):
    """A file of outside scores, with its SHA-256 where it is one file."""

    file: str
    sha256: str | None = None


class ImportedScores(Record):
    """Outside scores that were joined to a scoring.

    ``columns``: name in the scoring → column of the files. ``rows`` of the files: ``by_id`` and
    ``by_prompt`` joined, ``unmatched``; ``ambiguous``: ids of several sources; ``no_number``:
    values passed over. By column: ``scored`` samples, and ``conflicting`` ones, of which the files
    say different things, which have no score. ``ranks``: mid-ranks between 0 and 1 are kept.
    """

    columns: dict[str, str]
    files: list[ImportFile] = []
    ranks: bool = False
    rows: int = 0
    by_id: int = 0
    by_prompt: int = 0
    unmatched: int = 0
    ambiguous: int = 0
    no_number: int = 0
    scored: dict[str, int] = {}
    conflicting: dict[str, int] = {}
    created: str | None = None
    command: str | None = None


class ScoringRecord(Record):
    """settings.json of one scoring: what its numbers depend on, and how far it has come.

    ``control_heads``: one list of heads a random-head control; ``control_share``: share of the rows
    that carry the first of them, ``further_share``: of those that carry all; ``tokens`` and
    ``shards`` are known once it is done. ``feature_heads``: heads of which single readings are
    kept, on ``feature_share`` of the rows; ``calibration``: whose scorer the shards carry;
    ``imported``: outside scores that they carry. ``shard_chars``, ``text_chars``: characters at
    which a shard is closed, and how many of one text count (set where a shard is to take a given
    time); ``estimate_s``: what the work was thought to take, after a short measurement.
    ``grown_at``: rows of the data at which it was whole before files were added, and ``grown_from``
    the hash of the data that it began with. ``versions``: as of a detection.
    """

    latest_format = SCORING_FORMAT
    format: int | None = None
    heads: list[Head] = []
    heads_rule: str | None = None
    heads_from: HeadsSource | None = None
    rank_by: str = "importance"
    text: ScoredPart = "prompt"
    model: ModelRecord | None = None
    data: list[DataRecord] = []
    data_specs: list[str] = []
    grown_at: list[int] = []
    grown_from: str | None = None
    baselines: bool = False
    head_influence: bool = False
    head_influence_controls: bool = False
    seed: int = 0
    control_limit: int | None = None
    max_length: int | None = None
    dtype: str = "fp32"
    token_budget: int | None = None
    shard_rows: int | None = None
    shard_chars: int | None = None
    text_chars: int | None = None
    control_heads: list[list[Head]] = []
    control_share: float = 0.0
    further_share: float = 0.0
    template: str | None = None
    feature_heads: list[Head] = []
    feature_limit: int | None = None
    feature_share: float = 0.0
    calibration: AppliedCalibration | None = None
    imported: list[ImportedScores] = []
    scorers: list[str] = []
    engine: str = "local"
    rows: int = 0
    rejected: int = 0
    tokens: int | None = None
    shards: int = 0
    seconds: float = 0.0
    estimate_s: float | None = None
    started: str | None = None
    finished: str | None = None
    state: str = "done"
    command: str | None = None
    python: str | None = None
    versions: dict[str, str] = {}


def read_or_none(kind: type[AnyRecord], path: Path) -> AnyRecord | None:
    """The record in a file that another process may be about to write; None where it has none."""
    try:
        return kind.read(path)
    except UserError:
        return None


def unless_broken(read: Callable[[], AnyRecord]) -> AnyRecord | None:
    """What ``read`` gives; None where it is broken, so that another may take its place.

    Raises LaterFormatError for the record of a later version, which is not broken.
    """
    try:
        return read()
    except LaterFormatError:
        raise
    except UserError:
        return None
