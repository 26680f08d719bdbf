import { spawn } from "node:child_process";
import { join } from "node:path";
import { environmentOf } from "./pack.ts";

/** A server that runs from an installed package. Disposing stops it and waits for its end. */
export interface InstalledServer extends AsyncDisposable {
  readonly address: string;
  /** Where its probe port is. */
  readonly probe: string;
}

/** Starts the `sessiond` command of the packages in a folder, on a free port, with further options. */
export async function startInstalled(
  folder: string,
  options: readonly string[] = [],
): Promise<InstalledServer> {
  const command = join(folder, "node_modules/.bin/sessiond");
  const free = "127.0.0.1:0";
  const child = spawn(command, ["serve", "--listen", free, "--probe-listen", free, ...options], {
    cwd: folder,
    env: environmentOf(process.execPath),
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const { address, probe } = await new Promise<{ address: string; probe: string }>(
    (resolve, reject) => {
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        const [, address] = /^sessiond \S+ listens on (\S+:\d+)/m.exec(said) ?? [];
        const [, probe] = /health for probes +(\S+)\n/.exec(said) ?? [];
        if (address !== undefined && probe !== undefined) resolve({ address, probe });
      });
      child.on("error", reject);
      child.on("close", () => reject(new Error(`the server ended early:\n${said}`)));
    },
  );
  return {
    address,
    probe,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}
