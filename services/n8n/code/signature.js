// Who calls proves it with the shared secret: over the bytes that came, not over what they parse to (predecessor lesson 130).
const { createHmac, timingSafeEqual } = require('crypto');

const { json, binary } = $input.first();
const hmac = createHmac('sha256', $env.N8N_WEBHOOK_HMAC_SECRET).update(Buffer.from(binary.data.data, 'base64'));
const wanted = Buffer.from(`sha256=${hmac.digest('hex')}`);
const given = Buffer.from(String(json.headers['x-signature-256'] ?? ''));
const signed = given.length === wanted.length && timingSafeEqual(given, wanted);
return [{ json: { signed, call: signed ? json.body : {} } }];
