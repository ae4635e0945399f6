"""A hostile run in a real browser: no request leaves, nothing of it renders, nothing breaks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, Request

from circuitseer_core.report.report import report
from circuitseer_core.runs.cluster_records import CLUSTER
from circuitseer_core.runs.folder import Run
from tests.browser.conftest import PATIENCE_MS, Server, start_server
from tests.support.browser import rest
from tests.support.hostile import SNIPPETS, make_hostile

VIEWS = (
    ("", {}), ("runs", {"runs_view": "Watch"}), ("runs", {"runs_view": "Start"}), ("heads", {}),
    ("heads", {"heads_view": "Sources"}), ("samples", {}), ("samples", {"view": "Side by side"}),
    ("samples", {"view": "Blind review"}), ("sources", {}), ("sources", {"shape": "Cumulative"}),
    ("export", {}),
    ("export", {"stratify": "equal", "stratify_by": CLUSTER, "before_after": "Strata",
                "near_duplicates": "0.8"}),
    ("runs", {"runs_view": "Import scores"}), ("calibrate", {}), ("evidence", {}), ("try_it", {}),
)  # fmt: skip

WITHOUT = "script-src wasm-eval"
"""Streamlit tries WebAssembly for 64-bit numbers and goes on without it where it is refused."""

RENDERED = r"""
(snippets) => {
  const found = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.parentElement.closest("script, style, textarea, [data-testid=stCode]")) continue;
    const shown = node.textContent.replaceAll("\u2060", "").replaceAll("\u00a0", " ");
    const text = shown.replace(/\s+/g, " ");
    for (const [typed, rest] of snippets) {
      const begin = typed.replace(/\s+/g, " ");  // a figure writes its labels in one line
      const word = rest.match(/^\w+/)[0];
      for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
        const before = text.slice(0, at);
        if (!before.endsWith(begin.trimStart()) && before.length >= begin.trim().length)
          found.push(`${begin}${word}: ${text.slice(Math.max(0, at - 20), at + 20)}`);
        if (!before.length) found.push(`${begin}${word} begins a text`);
      }
    }
  }
  const made = "a[href*='evil.example'], img[src*='evil.example'], .katex, [onerror]";
  for (const element of document.querySelectorAll(made)) found.push(element.outerHTML.slice(0, 90));
  if (document.body.innerText.includes("\u{1F604}")) found.push("an emoji");
  const hidden = getComputedStyle(document.querySelector("h1, h2")).display === "none";
  return hidden ? [...found, "hidden by a style of data"] : found;
}
"""


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    runs = tmp_path_factory.mktemp("hostile")
    make_hostile(runs)
    process, url = start_server(runs)
    yield Server(url, runs)
    process.terminate()
    process.wait(timeout=60)


@pytest.fixture
def tab(chromium: Browser, hostile: Server) -> Iterator[Page]:
    """A tab that remembers what the policy refused."""
    context = chromium.new_context(base_url=hostile.url)
    context.add_init_script(
        "window.refused = []; addEventListener('securitypolicyviolation', "
        "e => window.refused.push(`${e.violatedDirective} ${e.blockedURI}`))"
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()


def settle(page: Page) -> None:
    page.wait_for_selector("[data-testid='stMainBlockContainer'] :is(h1, h2)")
    rest(page)


def test_nothing_of_a_hostile_run_renders(tab: Page, hostile: Server) -> None:
    away: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((hostile.url, hostile.url.replace("http", "ws"))):
            away.append(request.url)

    tab.context.on("request", note)
    run = next(p.name for p in hostile.runs.iterdir() if (p / "run.json").is_file())
    problems = []
    for page, query in VIEWS:
        tab.goto(f"/{page}?{urlencode({'run': run} | query)}")
        settle(tab)
        assert tab.get_by_test_id("stException").count() == 0, (page, query)
        if page:
            assert tab.locator("[class*='st-key-broken_state']").count() == 0, (page, query)
        problems += [f"{page} {query}: {line}" for line in tab.evaluate(RENDERED, list(SNIPPETS))]
        refused = set(tab.evaluate("window.refused")) - {WITHOUT}
        problems += [f"{page} {query}: {line}" for line in refused]
    assert not problems, "\n".join(problems)
    left = [url for url in away if not url.startswith(("data:", "blob:"))]
    assert not left


def test_what_slips_through_is_not_fetched_by_the_browser(tab: Page, hostile: Server) -> None:
    """The policy that the server sends refuses images, scripts and connections of others."""
    response = tab.goto("/")
    # That text is not run as code cannot be tried from here: the driver's own calls may do so.
    assert response is not None
    assert "unsafe-eval" not in response.headers["content-security-policy"].split("wasm-")[0]
    settle(tab)
    sent: list[str] = []
    tab.on("requestfinished", lambda request: sent.append(request.url))
    tab.evaluate(
        """async () => {
          const image = document.createElement("img");
          image.src = "http://evil.example/a.png";
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(image, script);
          await fetch("http://evil.example/f").catch(() => null);
        }"""
    )
    tab.wait_for_function("window.refused.length >= 3")
    refused = {line.split()[0].removesuffix("-elem") for line in tab.evaluate("window.refused")}
    assert {"img-src", "script-src", "connect-src"} <= refused
    assert tab.evaluate("window.ran") is None
    assert not [url for url in sent if "evil.example" in url]


def test_nothing_of_a_hostile_run_renders_in_its_report(
    chromium: Browser, hostile: Server, tmp_path: Path
) -> None:
    run = next(p for p in hostile.runs.iterdir() if (p / "run.json").is_file())
    out = report(Run.open(run), tmp_path / "report.html")
    asked: list[str] = []
    view = chromium.new_page()
    view.set_default_timeout(PATIENCE_MS)
    view.on("request", lambda request: asked.append(request.url))
    view.goto(out.as_uri())
    view.wait_for_function("document.querySelectorAll('.plot .main-svg').length >= 5")
    problems = view.evaluate(RENDERED, list(SNIPPETS))
    view.close()
    assert not problems and asked == [out.as_uri()]
