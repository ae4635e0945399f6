"""Settings of stage 2: what was asked for, and what a scoring is pinned to once it has begun."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, field_validator, model_validator

from circuitseer_core.aliases import Head
from circuitseer_core.data.fields import FieldOptions
from circuitseer_core.data.sample import ScoredPart
from circuitseer_core.data.specs import DATA_SPEC
from circuitseer_core.detection.head_map import read_head_map
from circuitseer_core.detection.heads import SHARE, heads_rule
from circuitseer_core.errors import UserError
from circuitseer_core.hashing import short_hash
from circuitseer_core.runs import amounts
from circuitseer_core.runs.commands import FolderName, Option
from circuitseer_core.runs.machine import (
    ALLOW_PICKLE,
    DEVICE,
    DEVICES,
    DTYPE,
    DtypeName,
    refuse_unclear_devices,
)
from circuitseer_core.runs.records import SCORING_FORMAT, DataRecord, ModelRecord, ScoringRecord
from circuitseer_core.scoring.control_heads import LIMIT
from circuitseer_core.scoring.growth import changed_files

SHARD_ROWS = {"cpu": 512, "cuda": 16_384}
"""Most rows of a shard, the unit of resume and of sorting by length: more rows mean less padding in
the large batches of a GPU. On a CPU a shard is closed earlier by the time it takes (sizing.py)."""

FEATURE_ROWS = 5_000
"""Rows with head readings where nothing else is asked: they take 2.7 kB each at 270 heads."""


class ScoreSettings(FieldOptions):
    """What ``score`` computes. Names follow the command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: list[str] = Field(min_length=1, description=DATA_SPEC)
    name: FolderName = Field(
        "default", description="Name of this scoring, for several side by side."
    )
    text: ScoredPart = Field(
        "prompt", description="The text that is scored; the paper found prompts better."
    )
    heads: str = Field(SHARE, description='0.05, 5%, 14, lcb, bh, "l.h,l.h" or @FILE.')
    heads_from: str | None = Field(
        None, description="Folder of a pulled head map, in place of this run's own heads."
    )
    force_heads: bool = Field(False, description="Take --heads-from of a model with other weights.")
    rank_by: Literal["importance", "specificity"] = Field(
        "importance", description="What makes a reasoning head; specificity needs a contrast set."
    )
    baselines: bool = Field(
        False, description="Perplexity and IFD too: another pass, over the responses."
    )
    head_features: bool = Field(
        False, description="Five readings of every single head too, for calibrate."
    )
    head_feature_rows: int = Field(
        FEATURE_ROWS, ge=0, description="Most rows with head readings, by hash; 0 for every row."
    )
    calibration: str | None = Field(
        None, description="A calibration of this run: its scorer too, on every row."
    )
    head_influence: bool = Field(
        False,
        description="Loss with the heads ablated relative to clean too: two passes over the text.",
    )
    head_influence_controls: bool = Field(
        False, description="The same with the random heads, where controls are kept."
    )
    max_length: int | None = Field(
        None, ge=2, description="Longest input in tokens; longer ones are cut."
    )
    dtype: DtypeName = Field("auto", description=DTYPE)
    device: str = Field("auto", description=DEVICE)
    allow_pickle: bool = Field(False, description=ALLOW_PICKLE)
    devices: str | None = Field(None, description=DEVICES)
    engine: Literal["local", "ray"] = Field("local", description="Where the scoring runs.")
    ray_address: str | None = Field(None, description="Address of a Ray cluster.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    controls: int = Field(
        LIMIT, ge=0, description="Most rows with scores of random heads, by hash; 0 for none."
    )
    shard_rows: Annotated[int | None, Option(internal=True)] = Field(None, ge=1)
    token_budget: Annotated[int | None, Option(internal=True)] = Field(None, ge=1)
    """Tokens of a batch; found by timing where not given."""

    _heads = field_validator("heads", mode="before")(heads_rule)
    _wholes = field_validator("head_feature_rows", "max_length", "controls", mode="before")(
        amounts.whole
    )

    @field_validator("heads")
    @classmethod
    def _rule(cls, value: str) -> str:
        if not value.strip().endswith("%"):
            return value
        return f"{amounts.share(value):.12f}".rstrip("0").ljust(3, "0")  # 1.0, as 1 is a count

    @model_validator(mode="after")
    def _consistent(self) -> ScoreSettings:
        refuse_unclear_devices(self)
        if self.devices is not None and self.engine != "local":
            raise ValueError("--devices goes with --engine local; Ray finds devices itself")
        if self.head_features and self.calibration is not None:
            raise ValueError("give --head-features or --calibration, not both")
        if self.head_influence_controls and not self.head_influence:
            raise ValueError("--head-influence-controls goes with --head-influence")
        if self.force_heads and self.heads_from is None:
            raise ValueError("--force-heads goes with --heads-from")
        return self


# What the numbers depend on, and how a person calls it. A resumed scoring must agree in all of it.
_IDENTITY = {
    "heads": "--heads",
    "text": "--text",
    "model": "the model",
    "data": "--data",
    "baselines": "--baselines",
    "head_influence": "--head-influence",
    "head_influence_controls": "--head-influence-controls",
    "seed": "--seed",
    "control_limit": "--controls",
    "feature_heads": "--head-features or --calibration",
    "feature_limit": "--head-feature-rows",
}
# Found or defaulted at the first start and pinned from then on; only an explicit wish can differ.
_PINNED = {"max_length": "--max-length", "dtype": "--dtype", "shard_rows": "the rows of a shard"}


def identity(
    settings: ScoreSettings,
    heads: Sequence[Head],
    model: ModelRecord,
    data: DataRecord,
    feature_heads: Sequence[Head] = (),
) -> ScoringRecord:
    """The part of settings.json that another scoring under the same name must share.

    ``feature_heads``: heads of which single readings are kept.
    """
    record = ScoringRecord(
        format=SCORING_FORMAT,
        heads=list(heads),
        heads_rule=settings.heads,
        rank_by=settings.rank_by,
        text=settings.text,
        model=model,
        data=[data],
        data_specs=list(settings.data),
        baselines=settings.baselines,
        head_influence=settings.head_influence,
        head_influence_controls=settings.head_influence_controls,
        seed=settings.seed,
        control_limit=settings.controls,
    )
    if settings.heads_from is not None:
        record.heads_from = read_head_map(settings.heads_from).record.source()
    if feature_heads:
        record.feature_heads = list(feature_heads)
        record.feature_limit = 0 if settings.calibration else settings.head_feature_rows
    return record


def refuse_other(before: ScoringRecord, wanted: ScoringRecord, ask: ScoreSettings) -> None:
    """Raise UserError where a scoring of this name was made with other settings."""
    then, now = _essence(before), _essence(wanted)
    other = [label for key, label in _IDENTITY.items() if then.get(key) != now.get(key)]
    for key, label in _PINNED.items():
        asked = getattr(ask, key)
        if asked not in (None, "auto") and asked != then[key]:
            other.append(label)
    if other == [_IDENTITY["data"]] and wanted.data:
        names = ", ".join(changed_files(before, wanted.data[0])[:3])
        if names:
            raise UserError(
                f"scoring {ask.name!r} of this run was made with --data that is no longer given or "
                f"has changed ({names}): new rows go into files beside those, or behind the last "
                "line of the last .jsonl; for other data choose another --name"
            )
    if other:
        raise UserError(
            f"scoring {ask.name!r} of this run was made with other settings ({', '.join(other)}): "
            "choose another --name"
        )


def _essence(record: ScoringRecord) -> dict[str, Any]:
    """All that a shard's numbers depend on; model and data by their hashes alone.

    The token budget is left out: it moves numbers by rounding only, and every shard notes its own.
    """
    model = record.model
    # Absent without, so that scorings of before keep their hash.
    later: dict[str, Any] = {}
    if record.shard_chars:
        later |= {"shard_chars": record.shard_chars, "text_chars": record.text_chars}
    if record.further_share:
        later["further_share"] = record.further_share
    if record.feature_heads:
        later |= {
            "feature_heads": [list(head) for head in record.feature_heads],
            "feature_limit": record.feature_limit,
            "feature_share": record.feature_share,
        }
    return later | {
        "heads": [list(head) for head in record.heads],
        "text": record.text,
        "model": [model.weights_hash, model.tokenizer_hash] if model else None,
        "data": [record.grown_from or data.sha256 or data.to_json() for data in record.data],
        "baselines": record.baselines,
        "head_influence": record.head_influence,
        "head_influence_controls": record.head_influence_controls,
        "seed": record.seed,
        "control_limit": record.control_limit,
        "max_length": record.max_length,
        "dtype": record.dtype,
        "shard_rows": record.shard_rows,
        "control_heads": [[list(head) for head in draw] for draw in record.control_heads],
        "control_share": record.control_share,
        "template": record.template,
    }


_LATER = ("head_influence", "head_influence_controls")
"""Options that came later: unset they leave the hash of older scorings as it was."""


def fingerprint(record: ScoringRecord) -> str:
    """Hash of all that a shard's numbers depend on, from a complete settings record."""
    essence = {k: v for k, v in _essence(record).items() if v or k not in _LATER}
    return short_hash(json.dumps(essence, sort_keys=True, ensure_ascii=False))


def read_record(folder: Path) -> ScoringRecord | None:
    """settings.json of a scoring that was begun, else None. Raises UserError where it is broken."""
    path = folder / "settings.json"
    return ScoringRecord.read(path) if path.is_file() else None
