"""Rows as chat messages, as trainers read them without any conversion.

One object a line with ``messages``: a list of ``{"role", "content"}``, roles ``system``, ``user``,
``assistant`` (and ``tool``). That is the conversational language-modelling format of TRL's
``SFTTrainer``, the default of Axolotl's ``chat_template`` datasets (``field_messages: messages``),
and what LLaMA-Factory calls the OpenAI format (a ``sharegpt`` dataset with the tags that
``llama_factory_entry`` gives).

TRL decides what a dataset is by its column names, so columns that mean something to a trainer
beside ``messages`` must not pass through: a text column ``prompt`` there makes it refuse the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from circuitseer_core.data.fields import ROLES, RowProblem, read_turns

RESERVED = frozenset(
    {
        "messages", "conversations", "conversation", "prompt", "completion", "chosen", "rejected",
        "label", "labels", "text", "input_ids", "attention_mask", "assistant_masks",
        "completion_mask", "image", "images", "videos", "audios", "system", "system_prompt",
    }
)  # fmt: skip
"""Columns of the original row that are left out of chat messages: taken up in them, or read as
something else by a trainer."""

_SYSTEM = ("system", "system_prompt")


def to_messages(
    original: Mapping[str, Any], prompt: str, response: str | None
) -> list[dict[str, Any]] | None:
    """The row as chat messages, or None where it has no response to learn from.

    A chat in the original row is kept turn by turn where it is what was scored (it reads as the
    same prompt and response); its further keys stay. Turns after the last answer are left out.
    Otherwise the messages are one question and one answer, after the row's ``system`` text if it
    has one.
    """
    if response is None:
        return None
    messages = _own_turns(original, prompt, response)
    if messages is None:
        messages = [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": response},
        ]
    system = system_text(original)
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return messages


def system_text(original: Mapping[str, Any]) -> str:
    """The row's own system text; empty where it has none."""
    text = next((original[n] for n in _SYSTEM if isinstance(original.get(n), str)), "")
    return text if text.strip() else ""


def entry_name(file_name: str) -> str:
    """What a file is called in LLaMA-Factory's registry."""
    return file_name.split(".")[0]


def llama_factory_entry(file_name: str) -> dict[str, Any]:
    """The entry for LLaMA-Factory's ``dataset_info.json`` that makes it read such a file."""
    return {
        "file_name": file_name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "system_tag": "system",
        },
    }


def _own_turns(
    original: Mapping[str, Any], prompt: str, response: str
) -> list[dict[str, Any]] | None:
    chats = [value for value in original.values() if _is_chat(value)]
    halves = (original.get("prompt"), original.get("completion"))
    if all(_is_chat(half) for half in halves):
        chats.append([*halves[0], *halves[1]])  # type: ignore[misc]
    for turns in chats:
        try:
            reads = read_turns(turns, "messages")
        except RowProblem:
            continue
        if reads == (prompt, response):
            messages = [_message(turn) for turn in turns]
            last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
            return messages[: last + 1]
    return None


def _is_chat(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(t, Mapping) for t in value)


def _message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """One turn with the keys and roles that trainers know; further keys stay."""
    role = str(turn.get("role", turn.get("from")))
    content = turn.get("content", turn.get("value"))
    rest = {k: v for k, v in turn.items() if k not in ("role", "from", "content", "value")}
    return {"role": ROLES.get(role.lower(), role), "content": content, **rest}
