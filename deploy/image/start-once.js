import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * Starts a server in an empty folder, has it store one event and stops it, so that it keeps what
 * the engine compiled for that.
 *
 *   node start-once.js COMMAND...
 *
 * Errors: when the server does not start, take the event, or stop in order; with what it wrote.
 */
const [command, ...args] = process.argv.slice(2);
const signal = AbortSignal.timeout(120_000);
const data = await mkdtemp(join(tmpdir(), "sessiond-"));
const places = ["--data", data, "--listen", "127.0.0.1:0", "--probe-listen", "127.0.0.1:0"];
const server = spawn(command, [...args, "serve", ...places], {
  stdio: ["ignore", "ignore", "pipe"],
});
const exited = once(server, "exit", { signal });
let said = "";
try {
  const address = await Promise.race([listens(), exited.then(() => undefined)]);
  if (address === undefined) throw new Error("the server ended early");
  await append(address);
  server.kill("SIGTERM");
  const [code] = await exited;
  if (code !== 0) throw new Error(`the server ended with ${code}`);
} catch (cause) {
  throw new Error(`no start to keep; the server wrote:\n${said}`, { cause });
} finally {
  server.kill("SIGKILL");
  await rm(data, { recursive: true });
}

function listens() {
  return new Promise((resolve) => {
    server.stderr.on("data", (piece) => {
      said += piece;
      const [, address] = /^sessiond \S+ listens on (\S+)/m.exec(said) ?? [];
      if (address !== undefined) resolve(address);
    });
  });
}

async function append(address) {
  const events = [{ role: "ROLE_USER", message: { text: "I want to visit Japan next month" } }];
  const answer = await fetch(`http://${address}/sessiond.v1.EventService/AppendEvents`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ sessionId: "first", createIfMissing: true, events }),
    signal,
  });
  if (!answer.ok) throw new Error(`the event was not taken: ${await answer.text()}`);
}
