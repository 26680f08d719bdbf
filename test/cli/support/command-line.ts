import { tmpdir } from "node:os";
import type { Host } from "../../../src/cli/host.ts";
import { run } from "../../../src/cli/program.ts";
import type { StartApp } from "../../../src/cli/serve.ts";
import type { Config } from "../../../src/config.ts";

type Signal = "SIGINT" | "SIGTERM";

/** A command line in a process that is none: output is collected, signals are sent by hand. */
export function commandLine(argv: readonly string[], env: Record<string, string> = {}) {
  const out = { stdout: "", stderr: "" };
  const collect = (stream: keyof typeof out) => (text: string) => {
    out[stream] += text;
  };
  const exits: number[] = [];
  const signals = new Set<(signal: Signal) => void>();
  const crashes = new Set<(error: unknown) => void>();
  const configs: Config[] = [];
  const started = Promise.withResolvers<void>();
  const stopped = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<Error>();
  let stops = 0;

  const startApp: StartApp = async ({ config }) => {
    configs.push(config);
    started.resolve();
    return {
      addresses: { listen: "127.0.0.1:4711", probe: "127.0.0.1:4712" },
      stop: () => {
        stops += 1;
        return stopped.promise;
      },
      reopen: async () => {},
      failed: failed.promise,
    };
  };
  const subscribe = <T>(set: Set<T>, listener: T) => {
    set.add(listener);
    return () => set.delete(listener);
  };
  const pipe = { isTerminal: false, hasColours: false, columns: () => 80 };
  const host: Host = {
    env: { SESSIOND_LOG_LEVEL: "silent", ...env },
    cwd: tmpdir(),
    stdin: { isTerminal: false, async *bytes() {} },
    stdout: {
      ...pipe,
      closed: new AbortController().signal,
      write: collect("stdout"),
      drained: async () => {},
      deliver: async (text) => collect("stdout")(text),
      abandon: () => {},
    },
    stderr: { ...pipe, write: collect("stderr") },
    terminal: undefined,
    onSignal: (listener) => subscribe(signals, listener),
    onHangup: () => () => {},
    onCrash: (listener) => subscribe(crashes, listener),
    flushed: async () => {},
    exit: (code: number) => void exits.push(code),
  };
  return {
    out,
    exits,
    configs,
    started: started.promise,
    stopped,
    failed,
    stops: () => stops,
    listeners: () => signals.size + crashes.size,
    signal: (signal: Signal) => {
      for (const listener of signals) listener(signal);
    },
    crash: (error: unknown) => {
      for (const listener of crashes) listener(error);
    },
    run: (overrides: { startApp?: StartApp } = {}) => run({ argv, host, startApp, ...overrides }),
  };
}
