// A vault's client as LiveSync is one: PouchDB replicates a thousand documents both ways, some with an attachment, some changed on
// both sides. Prints what both sides then hold. stdin: user, password, address of the database, a word that names this run.
const PouchDB = require("pouchdb-core")
  .plugin(require("pouchdb-adapter-http"))
  .plugin(require("pouchdb-adapter-leveldb"))
  .plugin(require("pouchdb-replication"));
const { createHash, randomBytes } = require("node:crypto");
const { mkdtempSync } = require("node:fs");

const DOCUMENTS = 1000, ATTACHED_EVERY = 10, CONFLICTS = 25;
const [user, password, address, run] = require("node:fs").readFileSync(0, "utf8").trim().split("\n");
const store = mkdtempSync("/tmp/vault-");
const local = (name) => new PouchDB(`${store}/${name}`);
const remote = new PouchDB(address, { auth: { username: user, password }, skip_setup: true });
const id = (number) => `${run}-${String(number).padStart(4, "0")} é/ü.md`;
const attached = (number) => number % ATTACHED_EVERY === 0;

async function main() {
  const [one, other] = [local("one"), local("other")];
  const documents = Array.from({ length: DOCUMENTS }, (_, number) => ({
    _id: id(number),
    text: `note ${number}: où ça 🙂`,
    ...(attached(number) && { _attachments: { "a b.png": { content_type: "image/png", data: randomBytes(2000 + number).toString("base64") } } }),
  }));
  await one.bulkDocs(documents);
  const ids = documents.map(({ _id }) => _id);
  const pushed = await one.replicate.to(remote, { batch_size: 100 });
  const pulled = await other.replicate.from(remote, { batch_size: 100, doc_ids: ids });
  // The same notes are edited on both devices while neither has a network, and then both come back.
  for (const number of Array(CONFLICTS).keys()) {
    for (const [device, name] of [[one, "one"], [other, "other"]]) {
      const document = await device.get(id(number), { attachments: true });
      await device.put({ ...document, text: `edited on ${name}` });
    }
  }
  await one.replicate.to(remote);
  await other.replicate.to(remote);
  await one.replicate.from(remote, { doc_ids: ids });
  await other.replicate.from(remote, { doc_ids: ids });
  const seen = await Promise.all([one, other, remote].map((database) => holds(database, ids)));
  // What is settled on one device, by deleting the loser, is settled on the other.
  for (const number of Array(CONFLICTS).keys()) {
    const { _conflicts } = await one.get(id(number), { conflicts: true });
    for (const revision of _conflicts) await one.remove(id(number), revision);
  }
  await one.replicate.to(remote);
  await other.replicate.from(remote, { doc_ids: ids });
  const settled = await holds(other, ids);
  const stranger = new PouchDB(address, { auth: { username: user, password: "wrong" }, skip_setup: true });
  const refused = await stranger.get(id(0)).then(() => "let in", (error) => error.error ?? error.name);
  const { rows } = await remote.allDocs({ keys: ids });
  await remote.bulkDocs(rows.map(({ id: _id, value }) => ({ _id, _rev: value.rev, _deleted: true })));
  console.log(JSON.stringify({
    pushed: [pushed.docs_written, pushed.doc_write_failures], pulled: [pulled.docs_written, pulled.doc_write_failures],
    conflicts: seen.map(({ conflicts }) => conflicts), digests: seen.map(({ digest }) => digest), settled: settled.conflicts, refused,
  }));
}

// How many notes have two versions, and a digest of every winning text and every byte that is attached.
async function holds(database, keys) {
  const hash = createHash("sha256");
  let conflicts = 0;
  for (let from = 0; from < keys.length; from += 200) {
    const { rows } = await database.allDocs({ keys: keys.slice(from, from + 200), include_docs: true, conflicts: true, attachments: true });
    for (const { doc } of rows) {
      conflicts += (doc._conflicts ?? []).length;
      hash.update(`${doc._id}\0${doc._rev}\0${doc.text}\0${doc._attachments?.["a b.png"]?.data ?? ""}\0`);
    }
  }
  return { conflicts, digest: hash.digest("hex") };
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
