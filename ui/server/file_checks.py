"""The tables of the run in view against their checksums, read beside the pages.

One thread reads; a page never waits for it. It says what is damaged from its next drawing on.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import streamlit as st

from circuitseer_core.runs.integrity import RunCheck, check_run, tables
from circuitseer_core.runs.review_lines import REVIEW_FILE
from ui.widgets.markdown import inline

_READER = ThreadPoolExecutor(1, "file-checks")
_Stamp = tuple[tuple[str, int, int], ...]
_checks: dict[str, tuple[_Stamp, Future[RunCheck]]] = {}
SHOWN = 3
"""Most damaged files that are named; ``verify --run`` names all."""


def check(path: Path) -> Future[RunCheck]:
    """The check of a run as its files are now, begun if it was not."""
    stamp = _stamp(path)
    known = _checks.get(str(path))
    if known is None or known[0] != stamp:
        if len(_checks) >= 64:
            _checks.pop(next(iter(_checks)))
        known = _checks[str(path)] = (stamp, _READER.submit(check_run, path))
    return known[1]


def show_damage(path: Path) -> None:
    """One alert where files are known to be damaged; nothing while they are being read."""
    checking = check(path)
    if not checking.done() or checking.exception() is not None or checking.result().ok:
        return
    damaged = checking.result().damaged
    lines = [f"{inline(damage.file)}: {inline(damage.remedy)}." for damage in damaged[:SHOWN]]
    more = f" {len(damaged) - SHOWN} more." if len(damaged) > SHOWN else ""
    noun = "file is" if len(damaged) == 1 else "files are"
    st.error(
        f"{len(damaged)} {noun} damaged, not as written. {' '.join(lines)}{more}",
        icon=":material/broken_image:",
    )


def _stamp(path: Path) -> _Stamp:
    stamps = []
    for file in (path / REVIEW_FILE, *(table for table, _ in tables(path))):
        try:
            stat = file.stat()
        except OSError:
            continue
        stamps.append((str(file), stat.st_size, stat.st_mtime_ns))
    return tuple(stamps)
