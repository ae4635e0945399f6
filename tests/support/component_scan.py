"""Streamlit's test runner looks for components in every installed package, for every app anew."""

from __future__ import annotations

import functools

import pytest
from streamlit.components.v2 import manifest_scanner


def scan_once(patch: pytest.MonkeyPatch) -> None:
    """Let it look once: half of a page's time went there, and no test installs a package."""
    scan = manifest_scanner.scan_component_manifests
    patch.setattr(manifest_scanner, "scan_component_manifests", functools.cache(scan))
