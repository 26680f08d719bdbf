import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface Echo extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
}

const file = fileURLToPath(new URL("./echo-server.ts", import.meta.url));

/** The bare echo server in a process of its own; `answerBytes` is what it gives back, default 96. */
export async function startEcho({ answerBytes = 96 } = {}): Promise<Echo> {
  const child = spawn(process.execPath, [file, String(answerBytes)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    address: line.toString().trim(),
    pid: child.pid ?? -1,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exited;
    },
  };
}
