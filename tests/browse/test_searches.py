"""A text is searched once, and only so many searches are kept."""

from __future__ import annotations

from circuitseer_core.browse.searches import MOST, Searches


def test_a_text_is_searched_once_and_the_oldest_goes() -> None:
    done: list[str] = []
    searches = Searches(done.append)
    tables = [searches.hits(f"text {n}") for n in range(MOST)]
    assert len(set(tables)) == len(done) == MOST
    assert searches.hits("text 0") == tables[0] and len(done) == MOST
    newest = searches.hits("one more")
    assert done[MOST] == f"DROP TABLE {tables[1]}" and newest not in tables
    assert searches.hits("text 0") == tables[0], "who was just given it may still ask it"
    again = searches.hits("text 1")
    assert again not in tables, "a table that is gone is not named again"
