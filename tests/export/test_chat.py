"""Rows as chats."""

from __future__ import annotations

from circuitseer_core.export.chat import to_messages


def test_chats_keep_their_turns() -> None:
    turns = [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "1+1?"},
        {"from": "gpt", "value": "2"},
        {"from": "human", "value": "And 2+2?"},
        {"from": "gpt", "value": "4", "weight": 1},
        {"from": "human", "value": "Thanks"},
    ]
    prompt = "System: Be brief.\n\nUser: 1+1?\n\nAssistant: 2\n\nUser: And 2+2?"
    messages = to_messages({"conversations": turns}, prompt, "4")
    assert messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "1+1?"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "And 2+2?"},
        {"role": "assistant", "content": "4", "weight": 1},
    ]
    other = to_messages({"conversations": turns, "question": "q"}, "q", "a")
    assert other == [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    assert to_messages({"system": "Think."}, "q", "a")[0] == {"role": "system", "content": "Think."}
    pair = {"prompt": [{"role": "user", "content": "q"}]}
    pair["completion"] = [{"role": "assistant", "content": "a"}]
    assert to_messages(pair, "q", "a") == pair["prompt"] + pair["completion"]
