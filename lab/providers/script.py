"""A model that does what it is asked: `lab:call write {"path": "note.txt"}` in a message is answered by a call of that tool.

So an agent's tools are shown without a model. Calls are made one after another, each after the result of the one before; then
the answer is what they gave. Two forms: OpenAI's (openai-python@v3.57.0:src/openai/types/chat: `tools`, `tool_calls`) and
Anthropic's (anthropic-sdk-python@v0.121.0:src/anthropic/types: tool_param.py, tool_use_block.py, tool_result_block_param.py).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CALL = re.compile(r"lab:call (\w+) (\{.*\})")

Json = dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What the model says next: a text, or a call of `tool` with `arguments`, JSON; `number` counts the calls from 0."""

    text: str = ""
    tool: str = ""
    arguments: str = ""
    number: int = 0


def reply(body: Mapping[str, Any], otherwise: str) -> Json:
    """The assistant's message in OpenAI's form."""
    messages = list(body.get("messages") or ())
    asked = _last(messages, lambda message: message.get("role") == "user")
    results = [_text(message.get("content")) for message in messages[asked:] if message.get("role") == "tool"]
    offered = [str(tool.get("function", {}).get("name")) for tool in body.get("tools") or ()]
    said = _next(_text(messages[asked].get("content")) if messages else "", results, offered, otherwise)
    if not said.tool:
        return {"role": "assistant", "content": said.text}
    call = {
        "id": f"call_lab_{said.number}",
        "type": "function",
        "function": {"name": said.tool, "arguments": said.arguments},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def content(body: Mapping[str, Any], otherwise: str) -> Json:
    """The one content block of the assistant's message in Anthropic's form: `text` or `tool_use`."""
    messages = list(body.get("messages") or ())
    # A result comes in a message of the user's: what was asked is in the last one that brings none.
    asked = _last(messages, lambda message: message.get("role") == "user" and not blocks(message, "tool_result"))
    results = [_text(block.get("content")) for message in messages[asked:] for block in blocks(message, "tool_result")]
    offered = [str(tool.get("name")) for tool in body.get("tools") or ()]
    said = _next(_text(messages[asked].get("content")) if messages else "", results, offered, otherwise)
    if not said.tool:
        return {"type": "text", "text": said.text}
    return {"type": "tool_use", "id": f"toolu_lab_{said.number}", "name": said.tool, "input": json.loads(said.arguments)}


def blocks(message: Mapping[str, Any], kind: str) -> list[Json]:
    """The content blocks of one type in a message of Anthropic's form."""
    found = message.get("content")
    return [block for block in found if isinstance(block, dict) and block.get("type") == kind] if isinstance(found, list) else []


def _next(asked: str, results: Sequence[str], offered: Sequence[str], otherwise: str) -> Said:
    calls = _CALL.findall(asked)
    if not calls:
        return Said(otherwise)
    if len(results) >= len(calls):
        return Said("the tools said: " + json.dumps(results))
    name, arguments = calls[len(results)]
    if name not in offered:
        return Said(f"there is no tool {name}, but {', '.join(sorted(offered))}")
    return Said(tool=name, arguments=arguments, number=len(results))


def _last(messages: Sequence[Mapping[str, Any]], wanted: Callable[[Mapping[str, Any]], bool]) -> int:
    """Where the last message stands that is wanted; the first where none is."""
    return next((at for at in reversed(range(len(messages))) if wanted(messages[at])), 0)


def _text(found: Any) -> str:
    if isinstance(found, list):
        return "\n".join(str(part.get("text") or "") for part in found if isinstance(part, dict))
    return str(found or "")
