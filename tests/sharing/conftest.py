"""A hub on loopback in the place of the real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from circuitseer_core.export.push import TOKEN_VARIABLES
from circuitseer_core.runs.folder import Run
from tests.support.detected_run import detected_run
from tests.support.fake_hub import FakeHub, serving


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """The hub, with a token and a cache of the test's own."""
    from huggingface_hub import constants

    for name in TOKEN_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("CIRCUITSEER_HOME", str(tmp_path / "cache"))
    with serving() as hub:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A detected run of a tiny model that is in a folder of this machine."""
    return detected_run(tmp_path_factory.mktemp("shared"))
