// What came, and what is wrong with it, said before anything is done or paid for.
const { createHash } = require('crypto');

const wanted = WANTED;
const { json, binary } = $input.first();
const call = json.body;
// What came without a body is {}; of what is no JSON n8n makes a text, or an object of its own.
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const is = {
	text: (value) => typeof value === 'string' && value.trim() !== '',
	list: (value) => Array.isArray(value) && value.length > 0,
	object: isObject,
};
const wrong = Object.entries(isObject(call) ? wanted : {}).flatMap(([field, kind]) => {
	const value = call[field];
	if (Array.isArray(kind)) return kind.includes(value) ? [] : [`"${field}" is none of ${kind.join(', ')}`];
	return is[kind](value) ? [] : [`"${field}" is missing, empty or no ${kind}`];
});
if (!isObject(call)) wrong.push('the body is no JSON object');
const example = Object.fromEntries(Object.entries(wanted).map(([field, kind]) => [field, Array.isArray(kind) ? kind[0] : { text: '...', list: [], object: {} }[kind]]));
const error = `${wrong.join('; ')}. Send for example ${JSON.stringify(example)}`;
// The digest tells afterwards which bytes came, without keeping them.
const digest = createHash('sha256').update(Buffer.from(binary?.data?.data ?? '', 'base64')).digest('hex');
return [{ json: wrong.length ? { right: false, digest, error } : { right: true, digest, call } }];
