import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type ServerProcess, startServer } from "../../support/server-process.ts";

export const mainFile = fileURLToPath(new URL("../../../src/main.ts", import.meta.url));

/** How a command ended, and what it wrote. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that runs, in a pipe. */
export interface Running {
  readonly child: ChildProcess;
  /** Resolves as soon as stdout holds this; rejects when the command ends without. */
  says(text: string): Promise<void>;
  /** The same of stderr. */
  warns(text: string): Promise<void>;
  readonly ended: Promise<Ended>;
}

/** A server of its own, a folder for files, and commands that talk to it. */
export interface Sessiond extends AsyncDisposable {
  readonly folder: string;
  readonly server: ServerProcess;
  start(...args: readonly string[]): Running;
  run(...args: readonly string[]): Promise<Ended>;
  /** Runs a command that must end well, and gives what it printed. */
  ok(...args: readonly string[]): Promise<string>;
  runWith(input: string, ...args: readonly string[]): Promise<Ended>;
  /** Starts the server again at the same place over the same data. */
  restart(): Promise<void>;
}

export async function openSessiond(): Promise<Sessiond> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-cli-"));
  const data = join(folder, "data");
  let server = await startServer({ data });
  const { address, port } = server;
  const start = (...args: readonly string[]) => startCommand(args, { address, folder });
  const run = (...args: readonly string[]) => {
    const { child, ended } = start(...args);
    child.stdin?.end();
    return ended;
  };
  return {
    folder,
    get server() {
      return server;
    },
    start,
    run,
    async ok(...args) {
      const { code, stdout, stderr } = await run(...args);
      if (code !== 0) throw new Error(`sessiond ${args.join(" ")} ended with ${code}:\n${stderr}`);
      return stdout;
    },
    runWith(input, ...args) {
      const { child, ended } = start(...args);
      child.stdin?.end(input);
      return ended;
    },
    async restart() {
      await server.kill("SIGKILL");
      server = await startServer({ data, port });
    },
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** JSON lines as values. */
export function linesOf<T>(text: string): T[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);
}

function startCommand(
  args: readonly string[],
  { address, folder }: { address: string; folder: string },
): Running {
  const child = spawn(process.execPath, [mainFile, ...args], {
    cwd: folder,
    env: { ...process.env, SESSIOND_ADDRESS: address },
    stdio: ["pipe", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  // A command that ends before it has read its input is no failure of the test.
  child.stdin.on("error", () => {});
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
  });
  const until = (stream: Readable, holds: () => boolean, text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => {
        if (holds()) resolve();
      };
      stream.on("data", look);
      look();
      ended.then(() => reject(new Error(`it ended without "${text}":\n${stderr}`)), reject);
    });
  const says = (text: string) => until(child.stdout, () => stdout.includes(text), text);
  const warns = (text: string) => until(child.stderr, () => stderr.includes(text), text);
  return { child, says, warns, ended };
}
