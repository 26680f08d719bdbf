import { type ChildProcessByStdio, spawn } from "node:child_process";
import { tmpdir } from "node:os";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

/** How a process ended: one of the two is null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server that ended, and what it wrote. */
export interface EndedServer extends Exit {
  readonly stdout: string;
  readonly stderr: string;
}

/** A real server in a process of its own. Disposing kills it and waits for its end. */
export interface ServerProcess extends AsyncDisposable {
  /** Where it listens, for example `127.0.0.1:43011`. */
  readonly address: string;
  readonly port: number;
  /** Where its probe port is. Errors: it has none, which is the default. */
  readonly probe: string;
  readonly pid: number;
  /** What it wrote up to now. */
  stdout(): string;
  stderr(): string;
  /** Sends a signal, if it still runs, and waits for its end. */
  kill(signal: NodeJS.Signals): Promise<Exit>;
  /** Resolves when it has ended and its output is complete; never rejects. */
  readonly exited: Promise<Exit>;
}

export interface ServerProcessOptions {
  /** Data folder. */
  readonly data: string;
  /** Default 0: a free one. */
  readonly port?: number;
  /** Further arguments of `serve`. */
  readonly args?: readonly string[];
  /** Variables beside the caller's; those of sessiond are not passed on. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Command that runs the server, in front of it. It must become the server's process, as
   * `strace --daemonize` does, so that signals and the exit code are the server's own.
   */
  readonly wrap?: readonly string[];
  /** Kills it when aborted, also while it starts. */
  readonly signal?: AbortSignal;
}

/** What the engine is told, as by `npm start` and in the image. */
export const engineFlags = ["--min-semi-space-size=8", "--max-semi-space-size=16"] as const;
const mainFile = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const readyLine = /^sessiond \S+ listens on (\S+:(\d+))/m;
const probeLine = /^ +health for probes +(\S+)$/m;

/** Servers that run; none outlives the tests, even when these end early. */
const running = new Set<Child>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

type Child = ChildProcessByStdio<null, Readable, Readable>;

/**
 * Starts a server and waits until it says where it listens.
 *
 * Rejects when it ends before that, with its exit code and what it wrote to stderr.
 */
export async function startServer(options: ServerProcessOptions): Promise<ServerProcess> {
  const { child, stdout, stderr, exited } = launch(options);
  const ready = Promise.withResolvers<RegExpExecArray>();
  child.stderr.on("data", () => {
    const line = readyLine.exec(stderr());
    if (line !== null) ready.resolve(line);
  });
  const early = exited.then(({ code, signal }) => {
    throw new Error(`the server ended early (${signal ?? `exit code ${code}`}):\n${stderr()}`);
  });
  const [, address = "", port] = await Promise.race([ready.promise, early]);
  early.catch(() => {});

  const kill = (signal: NodeJS.Signals) => {
    child.kill(signal);
    return exited;
  };
  return {
    address,
    port: Number(port),
    get probe() {
      const [, probe] = probeLine.exec(stderr()) ?? [];
      if (probe === undefined) throw new Error("the server was started without a probe port");
      return probe;
    },
    pid: child.pid ?? -1,
    stdout,
    stderr,
    kill,
    exited,
    async [Symbol.asyncDispose]() {
      await kill("SIGKILL");
    },
  };
}

/** Runs a server that is expected to end by itself, and waits for that. */
export async function runServer(options: ServerProcessOptions): Promise<EndedServer> {
  const { stdout, stderr, exited } = launch(options);
  return { ...(await exited), stdout: stdout(), stderr: stderr() };
}

function launch(options: ServerProcessOptions) {
  const { data, port = 0, args = [], env = {}, wrap = [], signal } = options;
  const [command = process.execPath, ...rest] = [
    ...wrap,
    process.execPath,
    ...engineFlags,
    mainFile,
    "serve",
    ...["--data", data, "--listen", `127.0.0.1:${port}`, "--probe-listen", "off"],
    ...args,
  ];
  const child: Child = spawn(command, rest, {
    // Away from any configuration file of the one who runs the tests.
    cwd: tmpdir(),
    env: { ...withoutOurs(process.env), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(signal && { signal, killSignal: "SIGKILL" }),
  });
  running.add(child);
  const stdout = collect(child.stdout);
  const stderr = collect(child.stderr);
  const exited = new Promise<Exit>((resolve, reject) => {
    // One that started ends with `close` in any case, also after the error of an abort.
    child.on("error", (error) => child.pid === undefined && reject(error));
    child.on("close", (code, signal) => resolve({ code, signal }));
  }).finally(() => running.delete(child));
  return { child, stdout, stderr, exited };
}

function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith("SESSIOND_")));
}
