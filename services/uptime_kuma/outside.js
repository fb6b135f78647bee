// Run by `node -e` in Uptime Kuma's container: make its account, its notification and its monitors what stdin says.
// Its own interface has no other way in than this socket (louislam/uptime-kuma, server/server.js, 2.x).
const { io } = require("socket.io-client");
const { isDeepStrictEqual } = require("node:util");

const SECONDS = 20;
const wanted = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const socket = io(wanted.url, { reconnection: false, timeout: SECONDS * 1000 });

async function main() {
	await said("connect");
	if (await call("needSetup")) {
		await call("setup", wanted.username, wanted.password);
	}
	// Sent to whoever has logged in; what was there before is heard, or nothing would be found again.
	const lists = [said("monitorList"), said("notificationList")];
	await call("login", { username: wanted.username, password: wanted.password, token: "" });
	const [monitors, notifications] = await Promise.all(lists);

	const known = notifications.find((each) => each.name === wanted.notification.name);
	const { id } = await call("addNotification", wanted.notification, known ? known.id : null);
	await seed(Object.values(monitors), wanted.monitors.map((each) => ({ ...each, notificationIDList: { [id]: true } })));
}

async function seed(found, monitors) {
	const kept = new Set();
	for (const monitor of monitors) {
		const there = found.find((each) => each.name === monitor.name);
		kept.add(there);
		if (!there) {
			await call("add", monitor);
			console.log(`added ${monitor.name}`);
		} else if (Object.entries(monitor).some(([key, value]) => !isDeepStrictEqual(there[key], value))) {
			await call("editMonitor", { ...there, ...monitor });
			console.log(`changed ${monitor.name}`);
		}
	}
	// Only what this script made: somebody may watch more by hand. A second one of a name goes too.
	for (const left of found.filter((each) => (each.description || "").endsWith(wanted.mark) && !kept.has(each))) {
		await call("deleteMonitor", left.id);
		console.log(`deleted ${left.name}`);
	}
}

function said(event) {
	return limited(event, (resolve) => socket.once(event, resolve));
}

async function call(event, ...words) {
	const answer = await limited(event, (resolve) => socket.emit(event, ...words, resolve));
	if (answer && answer.ok !== true && typeof answer === "object") {
		throw new Error(`${event}: ${answer.msg || JSON.stringify(answer)}`);
	}
	return answer;
}

function limited(event, start) {
	return new Promise((resolve, reject) => {
		const late = setTimeout(() => reject(new Error(`${event}: Uptime Kuma said nothing within ${SECONDS} s`)), SECONDS * 1000);
		start((answer) => {
			clearTimeout(late);
			resolve(answer);
		});
	});
}

main().then(
	() => process.exit(0),
	(error) => {
		console.error(error.message);
		process.exit(1);
	},
);
