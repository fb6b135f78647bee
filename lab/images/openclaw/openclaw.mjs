// Where somebody starts `node openclaw.mjs` without the image's entrypoint: the stand-in all the same.
import { spawn } from "node:child_process";

const child = spawn("/lab/standin", ["node", "openclaw.mjs", ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code) => process.exit(code ?? 1));
