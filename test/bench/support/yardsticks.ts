import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** A server to compare with, in a process of its own. */
export interface Yardstick extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
}

/** The bare echo server; `answerBytes` is what it gives back, default 96. */
export function startEcho({ answerBytes = 96 } = {}): Promise<Yardstick> {
  return start("./echo-server.ts", String(answerBytes));
}

/** The bare server that repeats what `address` says of a session and of its first events. */
export function startReplay(of: {
  readonly address: string;
  readonly sessionId: string;
  readonly events: number;
}): Promise<Yardstick> {
  return start("./clients/replay-server.ts", of.address, of.sessionId, String(of.events));
}

async function start(script: string, ...args: readonly string[]): Promise<Yardstick> {
  const file = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const early = exited.then(([code]) =>
    Promise.reject(new Error(`${script} ended early (${code})`)),
  );
  const [line] = (await Promise.race([once(child.stdout, "data"), early])) as [Buffer];
  early.catch(() => {});
  return {
    address: line.toString().trim(),
    pid: child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
