// Brings the running n8n to what the stack says: an owner where there is none yet, the credential by which our workflows know
// who calls them, and the workflows, published.
// Through the API that its own pages use: n8n's command line leaves workflows that are there as they are, and wants a restart.
const API = 'http://127.0.0.1:5678/rest';
const OURS = 'vpai-';
const SECONDS_TO_START = 120;
const SECONDS_UNTIL_THE_NEXT_LOGIN = 20;
const session = {};

async function provision(owner, credential, workflows) {
	try {
		await enter(owner);
		const { id } = await entrust(credential);
		for (const workflow of workflows) await bring(holding(workflow, { ...credential, id }));
		await retire(new Set(workflows.map(({ id }) => id)));
	} catch (error) {
		console.error(error.message);
		process.exitCode = 1;
	}
}

async function enter({ email, firstName, lastName, password }) {
	const { userManagement } = await started();
	if (userManagement.showSetupOnFirstLoad) return void (await ask('POST', '/owner/setup', { email, firstName, lastName, password }));
	const login = () => answer('POST', '/login', { emailOrLdapLoginId: email, password });
	let response = await login();
	// n8n lets an account try five times a minute.
	for (let tries = 0; response.status === 429 && tries < 4; tries += 1) {
		await sleep(SECONDS_UNTIL_THE_NEXT_LOGIN);
		response = await login();
	}
	if (!response.ok) {
		throw new Error(
			`n8n refuses ${email} with the password of this stack (${response.status}): its workflows cannot be compared. ` +
				'Somebody changed it in n8n, or rotated n8n_owner_password: the owner is made once. Either put it back in n8n > ' +
				'Settings > Personal, or let n8n forget its users, not their workflows, restart it and deploy again: ' +
				'`make exec SERVICE=n8n COMMAND="n8n user-management:reset"`.',
		);
	}
}

// While it starts, n8n answers 200 to everything, its healthcheck included, with a sentence that asks to wait; after that, for a
// moment, with JSON that has no settings in it.
async function started() {
	for (let second = 0; second < SECONDS_TO_START; second += 1) {
		const response = await answer('GET', '/settings').catch(() => undefined);
		const settings = response?.headers.get('content-type')?.includes('json') ? (await response.json()).data : undefined;
		if (settings?.userManagement) return settings;
		await sleep(1);
	}
	throw new Error(`n8n has not finished its start within ${SECONDS_TO_START} s: see \`make logs SERVICE=n8n\`, then deploy again.`);
}

// What a person made of it is not shown to us: it is written each time.
async function entrust(credential) {
	const found = (await ask('GET', '/credentials')).find(({ name }) => name === credential.name);
	return found ? ask('PATCH', `/credentials/${found.id}`, credential) : ask('POST', '/credentials', credential);
}

// A workflow names its credential; n8n finds it by the id that it gave it.
function holding(workflow, { type, name, id }) {
	const named = (node) => (node.credentials?.[type] ? { ...node, credentials: { [type]: { id, name } } } : node);
	return { ...workflow, nodes: workflow.nodes.map(named) };
}

async function bring(wanted) {
	const path = `/workflows/${wanted.id}`;
	let found = (await ask('GET', `${path}/exists`)).exists ? await ask('GET', path) : await ask('POST', '/workflows', wanted);
	if (found.isArchived) found = await ask('POST', `${path}/unarchive`);
	if (!holds(found, wanted)) found = await ask('PATCH', path, wanted);
	if (found.activeVersionId !== found.versionId) await ask('POST', `${path}/activate`, { versionId: found.versionId });
}

// What was ours and is not any more stops, and stays to be read.
async function retire(kept) {
	for (const { id } of await ask('GET', `/workflows?filter=${encodeURIComponent('{"isArchived":false}')}`)) {
		if (id.startsWith(OURS) && !kept.has(id)) await ask('POST', `/workflows/${id}/archive`);
	}
}

// Whether all of `wanted` is in `found`, which may say more: n8n adds its own fields.
function holds(found, wanted) {
	if (wanted === null || typeof wanted !== 'object') return found === wanted;
	if (found === null || typeof found !== 'object') return false;
	if (Array.isArray(wanted) && found.length !== wanted.length) return false;
	return Object.keys(wanted).every((key) => holds(found[key], wanted[key]));
}

async function ask(method, path, body) {
	const response = await answer(method, path, body);
	const text = await response.text();
	if (!response.ok) throw new Error(`n8n answers ${response.status} to ${method} ${path}: ${text}`);
	return JSON.parse(text).data;
}

function sleep(seconds) {
	return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

async function answer(method, path, body) {
	const headers = { 'content-type': 'application/json', ...(session.cookie && { cookie: session.cookie }) };
	const response = await fetch(API + path, { method, headers, body: body && JSON.stringify(body) });
	const cookie = response.headers.getSetCookie().find((line) => line.startsWith('n8n-auth='));
	if (cookie) session.cookie = cookie.split(';')[0];
	return response;
}
