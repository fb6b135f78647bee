// CouchDB's interface by express-pouchdb (CouchDB 1.x), with what 3.3 does otherwise: no start without an administrator,
// require_valid_user, _up, and CORS as the ini files say. Data in /opt/couchdb/data. What it
// accepts, with the sources: contract.json.
import { createRequire } from "node:module";
import fs from "node:fs";
import path from "node:path";

const require = createRequire(import.meta.url);
const express = require("express");
const expressPouchDB = require("express-pouchdb");
const PouchDB = require("pouchdb-core")
  .plugin(require("pouchdb-adapter-leveldb"))
  .plugin(require("pouchdb-mapreduce"))
  .plugin(require("pouchdb-replication"));
const { atStart, refusal, refused } = require("./contract.cjs");

const ETC = "/opt/couchdb/etc";
const DATA = "/opt/couchdb/data";
const BANNER = "stand-in of the VPAI lab for CouchDB 3.3.3 (PouchDB), not the real one";

const settings = readIni(["default.d", "local.d"].flatMap((directory) => iniFiles(path.join(ETC, directory))));
const { COUCHDB_USER: user, COUCHDB_PASSWORD: password } = process.env;
console.log(BANNER);
const wrong = atStart(process.env, settings);
if (wrong.length) {
  console.log(`refused: ${wrong.join("; ")}`);
  process.exit(78);
}
try {
  fs.accessSync(DATA, fs.constants.W_OK);
} catch {
  console.log(`refused: ${DATA} cannot be written by user ${process.getuid()}`);
  process.exit(78);
}

// PouchDB takes a document's revision from its JSON: an attachment as a list of numbers is 700 MB for 20, more than CouchDB has.
Buffer.prototype.toJSON = function () {
  return this.toString("base64");
};

const configuration = path.join(DATA, ".config.json");
fs.writeFileSync(configuration, JSON.stringify({ admins: { [user]: password } }), { mode: 0o600 });
const couch = expressPouchDB(PouchDB.defaults({ prefix: `${DATA}/` }), {
  configPath: configuration,
  logPath: path.join(DATA, ".log.txt"),
  mode: "fullCouchDB",
  overrideMode: { exclude: ["routes/fauxton", "routes/cluster-rewrite", "routes/http-log"] },
});
express()
  .disable("x-powered-by")
  .use(log, cors, up, validUser, administrators, contract)
  .use(couch)
  .listen(5984, "0.0.0.0", () => console.log("listening on 5984"));

function log(request, response, next) {
  response.setHeader("x-vpai-lab", BANNER);
  response.on("finish", () => console.log(JSON.stringify({ method: request.method, path: request.path, status: response.statusCode })));
  next();
}

function cors(request, response, next) {
  const { origins = "", methods = "", headers = "", credentials, max_age } = settings.cors ?? {};
  const origin = request.get("origin");
  const enabled = (settings.chttpd?.enable_cors ?? settings.httpd?.enable_cors) === "true";
  if (!enabled || !origin || !(origins === "*" || list(origins).includes(origin))) return next();
  response.setHeader("access-control-allow-origin", origin);
  response.setHeader("vary", "origin");
  if (credentials === "true") response.setHeader("access-control-allow-credentials", "true");
  if (request.method !== "OPTIONS") return next();
  response.setHeader("access-control-allow-methods", list(methods).join(", "));
  response.setHeader("access-control-allow-headers", list(headers).join(", "));
  if (max_age) response.setHeader("access-control-max-age", max_age);
  response.status(204).end();
}

function up(request, response, next) {
  if (request.path !== "/_up") return next();
  response.json({ status: "ok", seeds: {} });
}

// Whoever names nobody gets nothing, but a session may be opened; whether the name is right is express-pouchdb's to say.
function validUser(request, response, next) {
  const known = request.get("authorization") || /AuthSession=[^;]/.test(request.get("cookie") ?? "");
  if (settings.chttpd?.require_valid_user !== "true" || known || request.path === "/_session") return next();
  response.setHeader("www-authenticate", 'Basic realm="server"');
  answer(response, refusal("no login"));
}

// Databases and who may enter them are the administrator's. express-pouchdb would end at another's PUT.
function administrators(request, response, next) {
  const governs = ["PUT", "DELETE"].includes(request.method) && /^\/[^/]+(\/(_security)?)?$/.test(request.path);
  const login = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  if (!governs || request.path.startsWith("/_session") || request.get("authorization") === login) return next();
  answer(response, refusal("no administrator's login"));
}

// What CouchDB would refuse and express-pouchdb might not.
function contract(request, response, next) {
  const type = (request.get("content-type") ?? "").split(";")[0].trim();
  const found = refused(request.method, decodeURIComponent(request.path), type, Number(request.get("content-length") ?? 0));
  if (!found) return next();
  answer(response, found);
}

function answer(response, [status, error, reason]) {
  response.status(status).json({ error, reason });
}

function iniFiles(directory) {
  if (!fs.existsSync(directory)) return [];
  return fs.readdirSync(directory).filter((name) => name.endsWith(".ini")).sort().map((name) => path.join(directory, name));
}

function readIni(files) {
  const found = {};
  for (const file of files) {
    let section = {};
    for (const line of fs.readFileSync(file, "utf8").split("\n")) {
      const [, header] = /^\s*\[([^\]]+)\]/.exec(line) ?? [];
      const [, name, value] = /^\s*([^;#=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
      if (header) section = found[header] ??= {};
      else if (name) section[name] = value;
    }
  }
  return found;
}

function list(text) {
  return text.split(",").map((item) => item.trim()).filter(Boolean);
}
