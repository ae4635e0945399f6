"""A hook of mkdocs: of roles in docstrings, which Markdown does not know, the names stay."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:class|func|meth|data|mod|attr|exc):(?=<code>)")


def on_page_content(html: str, **_: Any) -> str:
    """A page without ``:class:`` and its like before names."""
    return _ROLE.sub("", html)
