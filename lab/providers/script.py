"""A model that does what it is asked: `lab:call write {"path": "note.txt"}` in a message is answered by a call of that tool.

So an agent's tools are shown without a model. Calls are made one after another, each after the result of the one before; then
the answer is what they gave. OpenAI's form: platform.openai.com/docs/api-reference/chat/create, `tools`, `tool_calls`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

_CALL = re.compile(r"lab:call (\w+) (\{.*\})")


def reply(body: Mapping[str, Any], otherwise: str) -> dict[str, Any]:
    """The assistant's message: a call of the next tool, what the calls gave, or `otherwise` where none is asked for."""
    messages = list(body.get("messages") or ())
    asked = next((at for at in reversed(range(len(messages))) if messages[at].get("role") == "user"), None)
    calls = _CALL.findall(_text(messages[asked].get("content"))) if asked is not None else []
    if asked is None or not calls:
        return {"role": "assistant", "content": otherwise}
    results = [_text(message.get("content")) for message in messages[asked:] if message.get("role") == "tool"]
    offered = {tool.get("function", {}).get("name") for tool in body.get("tools") or ()}
    if len(results) < len(calls):
        name, arguments = calls[len(results)]
        if name not in offered:
            return {"role": "assistant", "content": f"there is no tool {name}, but {', '.join(sorted(map(str, offered)))}"}
        call = {"id": f"call_lab_{len(results)}", "type": "function", "function": {"name": name, "arguments": arguments}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": "the tools said: " + json.dumps(results)}


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return str(content or "")
