"""What a hub's reader makes of a card: elements and texts, and which of a hostile text acts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from tests.support.hostile import SNIPPETS

_OURS = {
    "h1", "h2", "p", "strong", "code", "pre", "ul", "li", "table", "thead", "tbody", "tr", "th",
    "td",
}  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.texts: list[str] = []
        self._in_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self._in_code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._in_code -= tag == "code"

    def handle_data(self, data: str) -> None:
        if not self._in_code:
            self.texts.append(data)


def acting(card: str) -> list[str]:
    """What of hostile texts acts in a card (Markdown, with the front matter of a hub): elements of
    its own, marks that are gone, addresses that readers make links of."""
    markdown_it = pytest.importorskip("markdown_it")
    body = card.split("---\n", 2)[2] if card.startswith("---\n") else card
    reader = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    page = _Page()
    page.feed(reader.render(body))
    page.close()
    problems = sorted(page.elements - _OURS)
    shown = " ".join(re.sub("[\u2060\ufeff]", "", "".join(page.texts)).split())
    for begin, rest in SNIPPETS:
        word = (re.match(r"\w+", rest) or re.match(r".", rest))[0]  # type: ignore[index]
        mark = " ".join(begin.split())
        for at in (place.start() for place in re.finditer(re.escape(word), shown)):
            if not shown[:at].rstrip().endswith(mark.strip()):
                problems.append(f"{mark}{word}: {shown[max(0, at - 20) : at + 20]}")
    return problems + re.findall(r"\S*(?:(?<!\u2060)//|www\.)\S*evil\S*", "".join(page.texts))
