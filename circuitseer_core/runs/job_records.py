"""What a stage at work says of itself, and a background job: progress.json and job.json."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from circuitseer_core.runs.records import Record


class ProgressRecord(Record):
    """progress.json: how far the stage at work has come, in ``unit``; times in seconds.

    ``phase`` names what is being done; its ``total`` is 0 where its amount is not known. ``eta_s``
    is the stage's: later phases are counted in where they can be told.
    """

    stage: str = ""
    phase: str = ""
    state: str = ""
    done: int = 0
    total: int = 0
    unit: str = ""
    rate: float = 0.0
    eta_s: float | None = None
    message: str = ""
    pid: int | None = None
    updated: str = ""


class ProcessRecord(Record):
    """A process: its pid alone may have been given to another since, so its start time too."""

    pid: int | None = None
    start_time: float = 0.0


JobState = Literal["none", "running", "stopping", "done", "failed", "cancelled", "interrupted"]


class JobRecord(Record):
    """job.json: the steps of a background job and where it stands; ``*_s`` are Unix times.

    ``step``: which is at work, from 0. ``seal``: that the steps were given on this machine
    (job_steps). No program is read from here.
    """

    steps: list[Annotated[list[str], Field(min_length=1)]] = Field(default_factory=list)
    seal: str | None = None
    state: JobState = "none"
    step: int = Field(0, ge=0)
    error: str | None = None
    started: str | None = None
    started_s: float = 0.0
    ended_s: float | None = None
    child: ProcessRecord = Field(default_factory=ProcessRecord)
