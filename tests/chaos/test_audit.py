"""The audit's line."""

from __future__ import annotations

from tests.chaos.audit import lines_and_verdict


def test_what_was_not_looked_up_is_no_clean_bill() -> None:
    fine = {"name": "a", "version": "1", "vulns": []}
    weak = {"name": "b", "version": "2", "vulns": [{"id": "X-1", "fix_versions": ["3"]}]}
    skipped = {"name": "c", "skip_reason": "Dependency not found on PyPI"}
    assert lines_and_verdict({"dependencies": [fine]}) == (
        ["1 of 1 packages looked up, 0 with known weaknesses"], True
    )  # fmt: skip
    lines, good = lines_and_verdict({"dependencies": [fine, weak]})
    assert lines[0] == "b 2: X-1, mended in 3" and not good
    lines, good = lines_and_verdict({"dependencies": [fine, skipped]})
    assert lines[0].startswith("1 of 2 packages") and "1 were not looked up" in lines[1]
    assert not good and not lines_and_verdict({"dependencies": []})[1]
