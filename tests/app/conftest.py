"""What tests of whole pages share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from streamlit import config

from tests.support.component_scan import scan_once


@pytest.fixture(scope="session", autouse=True)
def one_scan() -> Iterator[None]:
    """Look for Streamlit's components once, not for every app that a test opens."""
    with pytest.MonkeyPatch.context() as patch:
        scan_once(patch)
        yield


@pytest.fixture
def plain_errors() -> Iterator[None]:
    """Let a fault say what it is; the app itself shows its type alone."""
    before = config.get_option("client.showErrorDetails")
    config.set_option("client.showErrorDetails", "full")
    yield
    config.set_option("client.showErrorDetails", before)
