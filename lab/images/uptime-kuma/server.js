// Stand-in of the VPAI lab for Uptime Kuma 2, not the real one: accounts, notifications, monitors of sites and of jobs over the
// real one's own socket (louislam/uptime-kuma, server/server.js), real requests to the sites, real messages to Telegram.
// No interface, no other kinds of monitors, no history. /__lab/status tells what it knows.
const { createHash, timingSafeEqual } = require("node:crypto");
const { execFileSync } = require("node:child_process");
const http = require("node:http");
const https = require("node:https");
const { Server } = require("socket.io");
const { refused, refusal, validate } = require("./contract.js");

// An SQLite database, as the real one's, so that it is backed up as such; this Node has no SQLite, the image's Python does.
const SQLITE = `import sqlite3, sys
database = sqlite3.connect("/app/data/kuma.db")
database.execute("CREATE TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY, document TEXT)")
if len(sys.argv) > 1: database.execute("INSERT OR REPLACE INTO kept VALUES (1, ?)", (sys.stdin.read(),)); database.commit()
print(next(database.execute("SELECT document FROM kept"), [""])[0])`;
const DOWN = "DOWN", UP = "UP";
const kept = JSON.parse(execFileSync("/lab/python", ["-c", SQLITE], { encoding: "utf8" }).trim() || "null") ?? { user: null, monitors: {}, notifications: {}, last: 0 };
const status = {};
const timers = {};

for (const given of refused("arguments", [["node", "server/server.js", ...process.argv.slice(2)].join(" ")])) {
	throw refusal("arguments", given);
}
for (const name of refused("variables", Object.keys(process.env).filter((each) => each.startsWith("UPTIME_KUMA_")))) {
	throw refusal("variables", name);
}
// Ends here where the real one would: /app/data must be there and writable.
keep();
for (const monitor of Object.values(kept.monitors)) {
	watch(monitor);
}
const server = http.createServer(serve).listen(3001, () => say({ listening: 3001, banner: "stand-in for Uptime Kuma 2" }));
const io = new Server(server);

io.on("connection", (socket) => {
	let in_ = false;
	const on = (event, answer) =>
		socket.on(event, (...words) => {
			const callback = words.pop();
			try {
				callback({ ok: true, ...answer(...words) });
			} catch (error) {
				callback({ ok: false, msg: error.message });
			}
		});
	const guarded = (event, answer) =>
		on(event, (...words) => {
			if (!in_) {
				throw refusal("not logged in");
			}
			return answer(...words);
		});

	socket.on("needSetup", (callback) => callback(!kept.user));
	on("setup", (username, password) => {
		// check-password-strength, "Too weak": shorter than six characters, or of one kind only.
		if (password.length < 6 || [/[a-z]/, /[A-Z]/, /[0-9]/, /[^a-zA-Z0-9]/].filter((kind) => kind.test(password)).length < 2) {
			throw refusal("weak password");
		}
		if (kept.user) {
			throw refusal("initialized");
		}
		kept.user = { username, password: hash(password) };
		keep();
	});
	on("login", ({ username, password }) => {
		const right = kept.user && timingSafeEqual(Buffer.from(hash(password)), Buffer.from(kept.user.password));
		if (!right || username !== kept.user.username) {
			throw refusal("credentials");
		}
		in_ = true;
		socket.emit("monitorList", kept.monitors);
		socket.emit("notificationList", Object.values(kept.notifications));
		return { token: "stand-in" };
	});
	guarded("addNotification", (notification, id) => {
		const known = id || ++kept.last;
		kept.notifications[known] = { ...notification, id: known };
		keep();
		return { id: known };
	});
	guarded("add", (monitor) => store({ ...monitor, id: ++kept.last, active: true, parent: null }));
	guarded("editMonitor", (monitor) => store(monitor));
	guarded("deleteMonitor", (id) => {
		clearTimeout(timers[id]);
		delete status[kept.monitors[id].name];
		delete kept.monitors[id];
		keep();
	});

	function store(monitor) {
		validate(monitor);
		kept.monitors[monitor.id] = monitor;
		keep();
		watch(monitor);
		return { monitorID: monitor.id };
	}
});

function watch(monitor, failed = 0) {
	clearTimeout(timers[monitor.id]);
	if (monitor.type === "push") {
		timers[monitor.id] = setTimeout(() => seen(monitor, DOWN, "No heartbeat in the time window"), monitor.interval * 1000);
		return;
	}
	ask(monitor).then(({ up, message }) => {
		if (kept.monitors[monitor.id] !== monitor) {
			return;
		}
		const retries = up ? 0 : failed + 1;
		if (up || retries > monitor.maxretries) {
			seen(monitor, up ? UP : DOWN, message);
		}
		const seconds = retries && retries <= monitor.maxretries ? monitor.retryInterval : monitor.interval;
		timers[monitor.id] = setTimeout(() => watch(monitor, retries), seconds * 1000);
	});
}

function ask(monitor) {
	return new Promise((resolve) => {
		const request = https.request(monitor.url, { method: monitor.method, timeout: monitor.timeout * 1000 }, (response) => {
			response.resume();
			resolve({ up: accepted(monitor, response.statusCode), message: `${response.statusCode} - ${response.statusMessage}` });
		});
		request.on("timeout", () => request.destroy(new Error(`timeout of ${monitor.timeout} s`)));
		request.on("error", (error) => resolve({ up: false, message: error.message }));
		request.end();
	});
}

function accepted(monitor, code) {
	return monitor.accepted_statuscodes.some((range) => {
		const [from, to = from] = range.split("-").map(Number);
		return from <= code && code <= to;
	});
}

function seen(monitor, now, message) {
	const before = status[monitor.name];
	status[monitor.name] = { status: now, message, at: Date.now() / 1000 };
	say({ monitor: monitor.name, ...status[monitor.name] });
	// Of a first answer it tells only when it is a bad one.
	if (before ? before.status !== now : now === DOWN) {
		for (const id of Object.keys(monitor.notificationIDList)) {
			tell(kept.notifications[id], `[${monitor.name}] [${now === UP ? "✅ Up" : "🔴 Down"}] ${message}`);
		}
	}
}

function tell({ telegramBotToken, telegramChatID }, text) {
	const request = https.request(`https://api.telegram.org/bot${telegramBotToken}/sendMessage`, { method: "POST" });
	request.setHeader("content-type", "application/json");
	request.on("error", (error) => say({ failed: error.message }));
	request.end(JSON.stringify({ chat_id: telegramChatID, text }));
}

function serve(request, response) {
	const { pathname, searchParams } = new URL(request.url, "http://kuma");
	const [, token] = pathname.match(/^\/api\/push\/([^/]+)$/) || [];
	const answer = (code, body) => {
		response.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
	};
	if (refused("paths", [`${request.method} ${pathname}`]).length) {
		answer(404, { ok: false, msg: refusal("paths", pathname).message });
	} else if (pathname === "/__lab/status") {
		answer(200, { status, monitors: Object.values(kept.monitors) });
	} else if (token) {
		const monitor = Object.values(kept.monitors).find((each) => each.pushToken === token);
		if (monitor) {
			seen(monitor, (searchParams.get("status") || "up") === "up" ? UP : DOWN, searchParams.get("msg") || "OK");
			watch(monitor);
			answer(200, { ok: true });
		} else {
			answer(404, { ok: false, msg: refusal("unknown token").message });
		}
	} else {
		response.writeHead(302, { location: "/dashboard" }).end();
	}
}

function hash(password) {
	return createHash("sha256").update(password).digest("hex");
}

function keep() {
	execFileSync("/lab/python", ["-c", SQLITE, "keep"], { input: JSON.stringify(kept) });
}

function say(entry) {
	console.log(JSON.stringify({ time: Date.now() / 1000, ...entry }));
}
