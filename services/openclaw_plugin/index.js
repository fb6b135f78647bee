// Runs inside OpenClaw's gateway. Results go back to n8n from here, not by a skill: an agent that forgets to call would
// leave the caller waiting, and the secret that signs would lie in its sandbox.
import { execFile } from "node:child_process";
import { createHmac } from "node:crypto";
import { promisify } from "node:util";

const run = promisify(execFile);
// What services/n8n/workflows.py asks for: agent:<agent>:n8n:<execution>.
const ASKED_BY_N8N = /^agent:[^:]+:n8n:(.+)$/;
// OpenClaw's own end of a run is 600 s (agents.defaults.timeoutSeconds): what began earlier never said that it ended.
const LONGEST_RUN = 660_000;
// A run that fails before its agent is asked, for want of a sandbox for example, has no end that a plugin is told of.
const NEVER_ENDED = { messages: [], success: false, error: "the run never began or never ended; OpenClaw's log says why" };
const TRIES = [0, 2_000, 10_000];
// What would be refused again (services/n8n/workflows.py).
const FINAL = [400, 413, 422];

export default function register(api) {
  // OpenClaw registers a plugin more than once, and a run may begin with one and end with the other: they share what they know.
  const { sandboxes, silent } = (globalThis[Symbol.for("vpai")] ??= {
    sandboxes: new Sandboxes(api.pluginConfig.sandboxes, api.logger),
    silent: new Map(),
  });
  const asked = (sessionKey) => ASKED_BY_N8N.exec(sessionKey ?? "")?.[1];
  const tell = (agent, execution, event) => callBack({ agent, run: execution, ...outcome(event) }, api.logger);
  // The first of OpenClaw's hooks in a run: the sandbox is made after it.
  api.on("before_model_resolve", (_, { agentId, sessionId, sessionKey }) => {
    const execution = asked(sessionKey);
    if (execution) silent.set(sessionId, setTimeout(() => tell(agentId, execution, NEVER_ENDED), LONGEST_RUN).unref());
    return sandboxes.begin(agentId, sessionId);
  });
  api.on("agent_end", async (event, { agentId, sessionId, sessionKey }) => {
    clearTimeout(silent.get(sessionId));
    silent.delete(sessionId);
    sandboxes.end(agentId, sessionId);
    const execution = asked(sessionKey);
    if (execution) await tell(agentId, execution, event);
  });
}

/** One sandbox an agent, and so many at once: whoever begins takes the place of the one that has been idle for longest. */
class Sandboxes {
  #most;
  #logger;
  #running = new Map();
  #used = new Map();
  #turn = Promise.resolve();

  constructor(most, logger) {
    this.#most = most;
    this.#logger = logger;
  }

  begin(agent, session) {
    this.#running.set(session, { agent, since: Date.now() });
    this.#used.set(agent, Date.now());
    this.#turn = this.#turn.then(() => this.#makeRoom(agent)).catch((error) => this.#logger.error(`no room for a sandbox: ${error}`));
    return this.#turn;
  }

  end(agent, session) {
    this.#running.delete(session);
    this.#used.set(agent, Date.now());
  }

  async #makeRoom(agent) {
    // docker-proxy shows sandboxes only; whatever else answers under its name must lose nothing either.
    const format = '{{.ID}} {{.Label "openclaw.sandbox"}} {{.Label "openclaw.sessionKey"}}';
    const { stdout } = await run("docker", ["ps", "--all", "--no-trunc", "--filter", "label=openclaw.sandbox=1", "--format", format]);
    const there = [...stdout.matchAll(/^(\S+) 1 agent:(\S+)$/gm)].map(([, id, agent]) => ({ id, agent }));
    const others = there.filter((sandbox) => sandbox.agent !== agent);
    const busy = new Set([...this.#running.values()].filter(({ since }) => Date.now() - since < LONGEST_RUN).map((each) => each.agent));
    const idle = others.filter((sandbox) => !busy.has(sandbox.agent)).sort((a, b) => this.#last(a) - this.#last(b));
    for (const { id, agent: leaving } of idle.slice(0, Math.max(0, others.length + 1 - this.#most))) {
      await run("docker", ["rm", "--force", id]);
      this.#logger.info(`the sandbox of ${leaving} makes room for that of ${agent}`);
    }
  }

  #last({ agent }) {
    return this.#used.get(agent) ?? 0;
  }
}

/** What the agent said last, or why it said nothing. */
function outcome({ messages, success, error }) {
  const last = messages.findLast((message) => message.role === "assistant");
  const text = (last?.content ?? []).filter((part) => part.type === "text").map((part) => part.text).join("\n").trim();
  const failed = error || (last?.stopReason === "error" ? last.errorMessage || "the model failed" : "") || (success ? "" : "the run was ended");
  return failed ? { failed: true, result: `failed: ${failed}` } : { failed: false, result: text || "(the agent said nothing)" };
}

async function callBack(document, logger) {
  const body = JSON.stringify(document);
  const signature = createHmac("sha256", process.env.N8N_WEBHOOK_SECRET).update(body).digest("hex");
  const headers = { "content-type": "application/json", "x-signature-256": `sha256=${signature}` };
  for (const wait of TRIES) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    try {
      const answer = await fetch(`${process.env.N8N_WEBHOOK_BASE_URL}/webhook/agent-callback`, {
        method: "POST",
        headers,
        body,
        signal: AbortSignal.timeout(30_000),
      });
      if (answer.ok) return;
      logger.error(`n8n answered ${answer.status} to the result of run ${document.run}: ${(await answer.text()).slice(0, 500)}`);
      if (FINAL.includes(answer.status)) return;
    } catch (error) {
      logger.error(`n8n did not take the result of run ${document.run}: ${error}`);
    }
  }
}
