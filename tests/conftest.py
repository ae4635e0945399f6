"""What every test shares: an isolated home, and the rule of what CI may not skip."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

# A test never asks a network for anything; these must be set before the libraries are imported.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# Tiny models gain nothing from a second thread, and threads that wait for each other on a busy
# machine made tests take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

from tests.support.installed import Installed, install_wheel
from tests.support.order import long_first
from tests.support.required import Required

# The same examples in every run: what only chance finds is for `make fuzz`.
hypothesis.settings.register_profile("suite", derandomize=True, deadline=None)
hypothesis.settings.load_profile("suite")

_required = Required(os.environ)
_counts: list[str] = []

# The key that seals jobs is the suite's own, in every process that it starts.
_KEYS = Path(tempfile.mkdtemp(prefix="circuitseer-key-"))
os.environ["CIRCUITSEER_KEY"] = str(_KEYS / "job.key")
atexit.register(shutil.rmtree, _KEYS, ignore_errors=True)


@pytest.fixture(autouse=True)
def runs_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point the runs folder at a fresh place, so that no test sees another's runs or yours."""
    home = tmp_path / "runs-home"
    monkeypatch.setenv("CIRCUITSEER_RUNS", str(home))
    yield home


@pytest.fixture(autouse=True)
def own_main() -> Iterator[None]:
    """Streamlit's test runner leaves its script as ``__main__``; workers would then import it."""
    before = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = before


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads in torch here as a worker process on a CPU may come to."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a fresh environment, built once a session."""
    return install_wheel(tmp_path_factory.mktemp("installed"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long (after every other hook, so that nothing mixes it again)."""
    long_first(items)


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say how much was tried, in a line at the end of the suite."""
    return lambda line: record_property("count", line)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember how each test ended that may have to run, and what the tests counted."""
    if report.when == "call":
        _counts.extend(str(line) for name, line in report.user_properties if name == "count")
    _required.note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember files that were skipped as a whole."""
    _required.note_file(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A skipped (or missing) test that has to run fails the session (see support/required.py).

    Of several workers each sees its own tests alone: who started them counts.
    """
    counts = not hasattr(session.config, "workerinput")
    if counts and exitstatus == 0 and any(_required.problems()):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was counted, and why the session failed."""
    if _counts:
        terminalreporter.section("counts")
        for line in _counts:
            terminalreporter.write_line(line)
    for problem in _required.problems():
        terminalreporter.write_line(problem, red=True)
