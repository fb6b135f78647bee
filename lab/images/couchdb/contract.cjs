// What the stand-in for CouchDB accepts: contract.json, each entry with the file of the real one that it is taken from.
const CONTRACT = require("./contract.json");

const accepts = (kind, what) => Object.keys(CONTRACT.accepted[kind]).some((each) => new RegExp(`^(?:${each})$`).test(what));
const words = (kind, what = "") => CONTRACT.refusals[kind].words.replace("{}", what);
const refusal = (kind, what) => [CONTRACT.refusals[kind].status, CONTRACT.refusals[kind].code, words(kind, what)];

// What is wrong with the variables and the settings, by section and name, that it is started with.
function atStart(environment, settings) {
  if (!environment.COUCHDB_USER || !environment.COUCHDB_PASSWORD) return [words("no administrator")];
  const names = Object.keys(environment).filter((name) => name.startsWith("COUCHDB_"));
  const keys = Object.entries(settings).flatMap(([section, inner]) => Object.keys(inner).map((key) => `${section}.${key}`));
  return [
    ...names.filter((name) => !accepts("variables", name)).map((name) => words("variables", name)),
    ...keys.filter((key) => !accepts("keys", key)).map((key) => words("keys", key)),
  ];
}

// Status, error and reason for a request that CouchDB would refuse and express-pouchdb might not; null where it is in order.
function refused(method, path, type, bytes) {
  const [, database, ...below] = path.split("/");
  const ofDatabase = !below.join("/");
  if (!accepts("methods", method)) return refusal("methods");
  if (method === "PUT" && ofDatabase && !accepts("databases", database)) return refusal("databases", database);
  if (method !== "OPTIONS" && !accepts("paths", `${method} ${path}`)) return refusal("paths");
  if (method === "POST" && database !== "_session" && bytes && !accepts("content types", type)) return refusal("content types");
  const { most, status, code } = CONTRACT.limits["bytes of a document"];
  const isDocument = method === "PUT" && /^\/[^/]+\/(_local\/)?[^_/][^/]*$/.test(path);
  return isDocument && bytes > most ? [status, code, below.at(-1)] : null;
}

module.exports = { atStart, refusal, refused };
