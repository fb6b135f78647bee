// What the stand-in for Uptime Kuma accepts: contract.json, each entry with the file of the real one that it is taken from.
const CONTRACT = require("./contract.json");

const accepts = (kind, what) => Object.keys(CONTRACT.accepted[kind]).some((each) => new RegExp(`^(?:${each})$`).test(what));
const refused = (kind, given) => given.filter((what) => !accepts(kind, what));
const refusal = (kind, what = "") => new Error(CONTRACT.refusals[kind].words.replace("{}", what));

// The real one's columns, those that may not be null, and what it checks at `add` and at `editMonitor`.
function validate(monitor) {
	for (const name of refused("columns", Object.keys(monitor))) {
		throw refusal("columns", name);
	}
	if (!accepts("types", monitor.type)) {
		throw refusal("types");
	}
	if (!monitor.accepted_statuscodes.every((code) => typeof code === "string")) {
		throw refusal("status codes");
	}
	if (!Array.isArray(monitor.conditions)) {
		throw refusal("conditions");
	}
	for (const [name, { least, most, below, above }] of Object.entries(CONTRACT.limits)) {
		// The real one takes a monitor without a retry interval, and refuses every later change of it: refused here at once.
		const seconds = monitor[name] ?? 0;
		if (seconds < least || seconds > most) {
			throw new Error(seconds < least ? below : above);
		}
	}
}

module.exports = { refusal, refused, validate };
