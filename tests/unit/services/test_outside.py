"""The script that seeds Uptime Kuma makes what is wanted, changes what differs and removes what it once made, no more."""

import json
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

MARK = "(from the catalogue)"
SERVER = """
const kept = JSON.parse(process.env.KEPT);
const said = [];
process.on("exit", () => require("node:fs").writeFileSync(process.env.SAID, JSON.stringify(said)));
exports.io = () => {
	const once = {};
	const socket = { once: (event, heard) => { once[event] = heard; if (event === "connect") setImmediate(heard); } };
	socket.emit = (event, ...words) => {
		const answer = words.pop();
		said.push([event, ...words]);
		if (event === "needSetup") return answer(false);
		if (event === "login") { once.monitorList(kept); once.notificationList([]); }
		answer({ ok: true, id: 7 });
	};
	return socket;
};
"""


def seeded(tmp_path: Path, kept: dict[str, Any], wanted: list[dict[str, Any]]) -> list[list[Any]]:
    """What the script asks of an Uptime Kuma that has the monitors `kept`, by id."""
    module = tmp_path / "node_modules/socket.io-client"
    module.mkdir(parents=True)
    (module / "index.js").write_text(SERVER)
    stdin = {"url": "", "username": "", "password": "", "notification": {"name": "T"}, "mark": MARK, "monitors": wanted}
    script = resources.files("services.uptime_kuma").joinpath("outside.js").read_text()
    environment = {"NODE_PATH": str(tmp_path / "node_modules"), "KEPT": json.dumps(kept), "SAID": str(tmp_path / "said")}
    subprocess.run(["node", "-e", script], input=json.dumps(stdin), text=True, check=True, env=environment, executable=_node())
    said: list[list[Any]] = json.loads((tmp_path / "said").read_text())
    return [call for call in said if call[0] in ("add", "editMonitor", "deleteMonitor")]


def _node() -> str:
    return subprocess.run(["sh", "-c", "command -v node"], capture_output=True, text=True, check=True).stdout.strip()


def monitor(name: str, **more: object) -> dict[str, Any]:
    return {"name": name, "description": f"one {MARK}", "notificationIDList": {"7": True}, "interval": 60, **more}


def test_what_is_missing_is_added_and_what_differs_is_changed(tmp_path: Path) -> None:
    kept = {"1": {"id": 1, **monitor("same")}, "2": {"id": 2, **monitor("other", interval=20)}}
    said = seeded(tmp_path, kept, [monitor("same"), monitor("other"), monitor("new")])
    assert [(event, words[0]["name"]) for event, *words in said] == [("editMonitor", "other"), ("add", "new")]


@pytest.mark.parametrize("description", ["one by hand", f"one {MARK}"])
def test_of_several_of_one_name_one_stays_and_what_was_made_by_hand_too(tmp_path: Path, description: str) -> None:
    """On 42be7a5 three routes of one site made three monitors of one name, of which two never changed and never went."""
    left = {"id": 3, **monitor("left", description=description)}
    kept = {"1": {"id": 1, **monitor("hook")}, "2": {"id": 2, **monitor("hook")}, "3": left}
    gone = [id for event, id in seeded(tmp_path, kept, [monitor("hook")]) if event == "deleteMonitor"]
    assert gone == [2] + ([3] if MARK in description else [])
