"""Record the main journey through the app on the bundled run: docs/journey.gif, about a minute.

    python docs/make_recording.py [--out docs/journey.gif] [--width 960] [--window 1200]

A caption says what is done; the pointer is drawn, since browsers leave it out of recordings. GIF,
because a README on GitHub shows it in place. On a copy of the run, since a draw is kept on the way;
waiting (a model that loads, a draw that is kept) is left out. Needs Debian's chromium and the
development requirements (Pillow among them).
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from circuitseer_core.runs.any_run import adopt
from circuitseer_core.runs.folder import DEMO_RUN
from tests.browser.conftest import ARGS, CHROMIUM, start_server
from tests.support.browser import RESTS, rest

HEIGHT = 0.64
"""Of the width."""
LIMIT = 5_000_000
"""Bytes: what a README can ask of a reader."""
LONGEST = 60.0
"""Seconds."""
PATIENCE_MS = 600_000
"""A busy machine loads the model in minutes; waiting is not recorded."""
RUN = "smollm2"
"""Name of the copy."""

_STAGE = """([text, x, y]) => {
  let caption = document.getElementById("recorded-caption")
  if (!caption) {
    caption = document.createElement("div")
    caption.id = "recorded-caption"
    caption.style = "position:fixed;left:50%;bottom:22px;transform:translateX(-50%);"
      + "z-index:9999999;padding:10px 20px;border-radius:8px;background:#14202ee8;"
      + "color:#fff;white-space:nowrap;"
      + "font:500 19px/1.35 Inter,sans-serif;pointer-events:none"
    const hand = document.createElement("div")
    hand.id = "recorded-hand"
    hand.style = "position:fixed;z-index:9999999;width:20px;height:20px;margin:-10px;"
      + "border-radius:50%;background:#e2631fb0;border:2px solid #fff;pointer-events:none"
    document.body.append(caption, hand)
  }
  caption.textContent = text
  const hand = document.getElementById("recorded-hand")
  hand.style.left = x + "px"
  hand.style.top = y + "px"
  hand.style.display = x < 0 ? "none" : "block"
}"""


class Recorder:
    """Frames of a page with the time that each stays, caption and pointer drawn in."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.frames: list[tuple[Image.Image, int]] = []
        self._caption, self._at = "", (-1.0, -1.0)

    def say(self, text: str) -> None:
        """Change the caption."""
        self._caption = text

    def hold(self, seconds: float) -> None:
        """The page as it stands, for so long."""
        self.page.evaluate(_STAGE, [self._caption, *self._at])
        shot = Image.open(io.BytesIO(self.page.screenshot())).convert("RGB")
        if self.frames and self.frames[-1][0].tobytes() == shot.tobytes():
            last, stays = self.frames.pop()
            self.frames.append((last, stays + int(seconds * 1000)))
        else:
            self.frames.append((shot, int(seconds * 1000)))

    def settle(self) -> None:
        """Wait, unrecorded, until the page stands still."""
        for _ in range(2):
            self.page.wait_for_timeout(450)  # figures are drawn after the script has ended
            self.page.wait_for_function(RESTS, timeout=PATIENCE_MS)
            rest(self.page)

    def move(self, x: float, y: float, steps: int = 4) -> None:
        """The pointer goes to a place."""
        begin = self._at if self._at[0] >= 0 else (x + 160, y + 90)
        for step in range(1, steps + 1):
            part = step / steps
            self._at = (begin[0] + (x - begin[0]) * part, begin[1] + (y - begin[1]) * part)
            self.page.mouse.move(*self._at)
            self.hold(0.12)

    def click(self, target: Locator, *, where: tuple[float, float] = (0.5, 0.5)) -> None:
        """The pointer goes to a thing and presses it."""
        target.scroll_into_view_if_needed()
        box = target.bounding_box()
        assert box is not None
        x, y = box["x"] + where[0] * box["width"], box["y"] + where[1] * box["height"]
        self.move(x, y)
        self.page.mouse.click(x, y)
        self.settle()

    def type(self, target: Locator, text: str) -> None:
        """Click into a field, and commit what is typed."""
        self.click(target)
        target.fill(text)
        self.hold(0.6)
        target.press("Enter")
        self.settle()

    def go_to(self, name: str) -> None:
        """To another page, by the sidebar."""
        self.click(self.page.get_by_role("link", name=name, exact=True))

    def button(self, name: str) -> Locator:
        """A button or a choice of this name."""
        return self.page.get_by_role("button", name=name, exact=True).or_(
            self.page.get_by_role("radio", name=name, exact=True)
        ).first  # fmt: skip

    def scroll(self, to: str, pieces: int = 3) -> None:
        """Bring what a selector names to the upper part of the window, in steps."""
        far = self.page.locator(to).first.evaluate(
            "e => e.getBoundingClientRect().top - innerHeight * 0.12"
        )
        self.page.mouse.move(self.page.viewport_size["width"] * 0.6, 300)  # type: ignore[index]
        for _ in range(pieces):
            self.page.mouse.wheel(0, far / pieces)
            self.page.wait_for_timeout(150)
            self.hold(0.15)

    def save(self, out: Path, width: int) -> None:
        """One palette for all frames, so that what does not move costs nothing."""
        sheet = Image.new("RGB", (width, 160 * len(self.frames)))
        small = [frame.resize((width, round(width * HEIGHT)), Image.Resampling.LANCZOS)
                 for frame, _ in self.frames]  # fmt: skip
        for number, frame in enumerate(small):
            sheet.paste(frame.resize((width, 160)), (0, 160 * number))
        palette = sheet.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        drawn = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
        drawn[0].save(
            out, save_all=True, append_images=drawn[1:], loop=0, optimize=True,
            duration=[stays for _, stays in self.frames],
        )  # fmt: skip


def overview(tape: Recorder) -> None:
    """Where the run stands."""
    tape.say("A run: which heads of a model reason, and what they say of your data")
    tape.hold(3.5)
    tape.say("First what may be wrong, each with its number and a remedy")
    tape.scroll(".st-key-findings, [class*='st-key-card_']")
    tape.hold(4)


def heads(tape: Recorder) -> None:
    """The map, and one head."""
    tape.say("Every head replaced by uniform attention: how much does the loss rise?")
    tape.go_to("Heads")
    tape.hold(3.5)
    canvas = tape.page.locator("canvas[role=application]").first
    tape.say("One head: its effect on every probe sample, where it looks, what hurts")
    tape.click(canvas, where=(0.33, 0.245))
    tape.hold(3.5)


def try_it(tape: Recorder) -> None:
    """Ablate the set on one text."""
    tape.say("Try it: one text, and the heads to ablate")
    tape.go_to("Try it")
    tape.type(tape.page.get_by_role("textbox", name="Search samples"), "dogs")
    tape.hold(1.5)
    tape.click(tape.button("Load the model and try"))
    tape.page.locator(".st-key-try_token_box").wait_for(timeout=PATIENCE_MS)
    tape.settle()
    tape.say("The rise in loss, beside random heads of the same layers")
    tape.scroll("[class*='st-key-try_numbers'], [class*='st-key-grid4_try_numbers']")
    tape.hold(3)
    tape.say("Which tokens get harder, and what the model writes")
    tape.scroll(".st-key-try_tokens_bar")
    tape.hold(4)


def samples(tape: Recorder) -> None:
    """The rows by score, token by token."""
    tape.say("Every sample scored by how the reasoning heads attend")
    tape.go_to("Samples")
    tape.hold(2.5)
    tape.say("What is a score made of? Here mostly of the first token")
    tape.click(tape.page.locator(".row").nth(2))
    tape.hold(3.5)


def high_and_low(tape: Recorder) -> None:
    """Both ends of the score, in pairs."""
    tape.say("High and low, matched for source and length")
    tape.click(tape.button("High and low"))
    tape.hold(3.5)


def export(tape: Recorder) -> None:
    """The dial, the draw, the archive."""
    tape.say("Draw a tenth: one dial from uniform to top-k")
    tape.go_to("Export")
    tape.hold(2.5)
    tape.say("The draw, its lengths and its sources change at once")
    tape.click(tape.button("top-k"))
    tape.hold(3)
    tape.say("One action: draw, keep, download")
    tape.type(tape.page.get_by_role("textbox", name="Keep it as"), "top-tenth")
    with tape.page.expect_download(timeout=PATIENCE_MS) as waiting:
        tape.click(tape.button("Draw, keep and download"))
    tape.settle()
    archive = waiting.value.suggested_filename
    tape.say(f"{archive} is here: the rows, their manifest, a dataset card")
    tape.hold(3.5)


def evidence(tape: Recorder) -> None:
    """Experiments with verdicts."""
    tape.say("Go or no-go, by experiments that are able to say no")
    tape.go_to("Evidence")
    tape.hold(3.5)
    tape.scroll("[class*='st-key-card_evidence_']", 4)
    tape.say("make app has this run on the screen in seconds")
    tape.hold(3.5)


JOURNEY: tuple[Callable[[Recorder], None], ...] = (
    overview, heads, try_it, samples, high_and_low, export, evidence,
)  # fmt: skip


@contextmanager
def app_in_view(width: int) -> Iterator[Page]:
    """The app on a copy of the bundled run."""
    with tempfile.TemporaryDirectory() as runs, sync_playwright() as playwright:
        adopt(shutil.copytree(DEMO_RUN, Path(runs) / RUN))
        server, url = start_server(Path(runs))
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            size = {"width": width, "height": round(width * HEIGHT)}
            page = browser.new_page(viewport=size, color_scheme="light")
            page.set_default_timeout(PATIENCE_MS)
            page.goto(f"{url}/?run={RUN}")
            page.wait_for_selector("[data-testid='stMainBlockContainer'] h1", timeout=60_000)
            yield page
            browser.close()
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    """Play the journey and write the recording; refuses one that is too large for a README."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "journey.gif")
    parser.add_argument("--width", type=int, default=960, help="of the recording")
    parser.add_argument("--window", type=int, default=1200, help="of the browser")
    options = parser.parse_args()
    begin = time.monotonic()
    with app_in_view(options.window) as page:
        tape = Recorder(page)
        tape.settle()
        for scene in JOURNEY:
            scene(tape)
    tape.save(options.out, options.width)
    length = sum(stays for _, stays in tape.frames) / 1000
    size = options.out.stat().st_size
    print(f"{options.out}: {length:.0f} s, {len(tape.frames)} frames, {size / 1e6:.2f} MB, "
          f"made in {time.monotonic() - begin:.0f} s")  # fmt: skip
    if size > LIMIT or length > LONGEST:
        raise SystemExit(f"over {LIMIT / 1e6:g} MB or {LONGEST:g} s")


if __name__ == "__main__":
    main()
