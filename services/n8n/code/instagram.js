// What others said, one line each: by whom and which words. Our own comments and the echo of our own messages tell nobody
// anything, nor do reads, reactions and the like.
const { call } = $input.first().json;
const list = (value) => (Array.isArray(value) ? value : []);

function message({ sender, message }) {
	if (!message || message.is_echo || message.is_deleted) return [];
	const attached = list(message.attachments).map((each) => each?.type ?? 'attachment').join(', ');
	const said = message.text || (attached ? `(${attached})` : '');
	return said ? [`${sender?.id ?? 'somebody'}: ${said}`] : [];
}

function comment({ id }, { from, text }) {
	return text && from?.id !== id ? [`${from?.username ?? from?.id ?? 'somebody'}: ${text}`] : [];
}

const lines = list(call.entry).flatMap((entry) => {
	// With Instagram's own login an entry is itself what else is one of its changes.
	const changes = [...list(entry?.changes), ...(entry?.value ? [entry] : [])].map((change) => change?.value ?? {});
	return [
		// Meta's test of the field `messages` comes as a change too.
		...changes.flatMap((value) => (value.message ? message(value) : comment(entry, value))),
		...list(entry?.messaging).flatMap((each) => message(each ?? {})),
	];
});
return [{ json: { anything: lines.length > 0, text: ['Instagram:', ...lines].join('\n') } }];
