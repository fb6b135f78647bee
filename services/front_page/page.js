// Fills in what changes by the minute. It writes text and classes into what the page already has, and makes no HTML.
"use strict";

const SERVICES_SECONDS = 10;
const ALERTS_SECONDS = 30;
const MISSED_SECONDS = 30; // Without an answer for that long, what the page shows is no longer how things are.

const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const write = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };
const fact = (name, text) => write(document.querySelector(`[data-fact="${name}"]`), text);

let answered = 0; // when services were last answered, in milliseconds
let firing = null; // how many alerts are beyond their limit; null while unknown

async function ask(question) {
  const answer = await fetch(`/live/${question}`, { cache: "no-store", signal: AbortSignal.timeout(15000) });
  if (!answer.ok) throw new Error(`${question}: ${answer.status}`);
  const body = await answer.json();
  if (body.status !== "success") throw new Error(`${question}: ${body.error}`);
  return body.data.result;
}

function age(seconds) {
  const past = Math.max(0, Date.now() / 1000 - seconds);
  if (past < 90) return "just now";
  if (past < 5400) return `${Math.round(past / 60)} min ago`;
  if (past < 172800) return `${Math.round(past / 3600)} h ago`;
  return `${Math.round(past / 86400)} days ago`;
}

// What is said of a service: [class, words]. Of a host whose reporter is silent nothing is known; where it reports and does
// not name a service, the service's container is gone.
function state(values, reports) {
  if (values.running === undefined) return reports ? ["down", "gone"] : ["", "no report"];
  if (values.running < 1) return ["down", "stopped"];
  return values.healthy >= 1 ? ["well", "well"] : ["slow", "not healthy"];
}

function show(series) {
  const values = {}; // by "host/service", and "host/" for a host itself
  for (const { metric, value } of series) {
    const of = values[`${metric.host}/${metric.service || ""}`] ??= {};
    of[metric.what] = Number(value[1]);
  }
  const counts = { well: 0, slow: 0, down: 0, "": 0 };
  const bad = [], deployments = [], backups = [];
  for (const section of all("[data-host]")) {
    const host = section.dataset.host;
    const own = values[`${host}/`] || {};
    const deployed = [];
    for (const card of all("[data-service]", section)) {
      const of = values[`${host}/${card.dataset.service}`] || {};
      const [kind, words] = state(of, own.reports === 1);
      card.className = `service ${kind}`;
      write(card.querySelector(".state"), words);
      write(card.querySelector(".age"), of.deployed ? `deployed ${age(of.deployed)}` : "");
      counts[kind] += 1;
      if (kind === "down") bad.unshift(`${card.dataset.service} on ${host}: ${words}`);
      if (kind === "slow") bad.push(`${card.dataset.service} on ${host}: ${words}`);
      if (of.deployed) deployed.push(of.deployed);
    }
    if (deployed.length) {
      write(section.querySelector("[data-deployed]"), `last deployment ${age(Math.max(...deployed))}`);
      deployments.push(Math.max(...deployed));
    }
    const backup = section.querySelector("[data-backup]");
    if (backup) {
      write(backup, own.backup ? `last backup ${age(own.backup)}` : "no backup yet");
      backups.push(own.backup || 0);
    }
  }
  fact("well", String(counts.well));
  if (deployments.length) fact("deployed", age(Math.max(...deployments)));
  if (backups.length) fact("backup", backups.includes(0) ? "none yet" : age(Math.min(...backups)));
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
  if (counts.down) verdict("down", `${bad.join("; ")}. As of ${time}.`);
  else if (counts.slow) verdict("slow", `${bad.join("; ")}. As of ${time}.`);
  else if (counts[""]) verdict("slow", `No report of ${counts[""]} services: their host is off, out of the mesh, or starting. As of ${time}.`);
  else if (firing) verdict("slow", `Every service is well, and ${firing === 1 ? "one alert is" : `${firing} alerts are`} beyond the limit. As of ${time}.`);
  else verdict("well", `Every service is well. As of ${time}.`);
}

function verdict(kind, text) {
  const element = document.getElementById("verdict");
  element.hidden = false;
  element.className = `verdict ${kind}`;
  write(element, text);
}

function unanswered() {
  if (Date.now() - answered < MISSED_SECONDS * 1000) return;
  for (const card of all("[data-service]")) {
    const store = "store" in card.dataset;
    card.className = `service ${store ? "down" : ""}`;
    write(card.querySelector(".state"), store ? "does not answer" : "unknown");
  }
  fact("well", "");
  verdict("down", "VictoriaMetrics does not answer: it is down or starting, or you left the VPN. How the services are is unknown.");
}

async function services() {
  try {
    show(await ask("services"));
    answered = Date.now();
  } catch {
    unanswered();
  }
}

async function alerts() {
  try {
    const beyond = new Set((await ask("alerts")).map(({ metric }) => metric.alert));
    const items = all("[data-alert]");
    for (const item of items) item.hidden = !beyond.has(item.dataset.alert);
    firing = items.filter((item) => !item.hidden).length;
    document.getElementById("alerts").hidden = firing === 0;
    fact("alerts", firing === 0 ? "none" : String(firing));
  } catch {
    firing = null;
    document.getElementById("alerts").hidden = true;
    fact("alerts", "");
  }
}

// One question of a kind at a time, and none while nobody looks.
async function every(seconds, work) {
  for (;;) {
    if (!document.hidden) await work();
    await new Promise((wake) => {
      const timer = setTimeout(wake, seconds * 1000);
      document.addEventListener("visibilitychange", () => { clearTimeout(timer); wake(); }, { once: true });
    });
  }
}

every(ALERTS_SECONDS, alerts);
every(SERVICES_SECONDS, services);
