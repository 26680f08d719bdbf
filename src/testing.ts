import { startApp } from "./app.ts";
import { loadConfig } from "./config.ts";
import { silentLogger } from "./telemetry/logger.ts";

/** A server inside this process that keeps everything in memory. */
export interface InMemoryServer {
  /** Where it listens, for example `127.0.0.1:43011`; for `new Sessiond(address)`. */
  readonly address: string;
  /** Ends its streams, waits for running calls, and forgets everything. `await using` calls it. */
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface InMemoryOptions {
  /** Port of the loopback interface. Default 0: a free one. */
  readonly port?: number;
  /** Origins of pages that may reach it through a browser. Default none. */
  readonly allowOrigins?: readonly string[];
  /** What the server takes for the time, in milliseconds since 1970. Default: the real one. */
  readonly clock?: () => number;
}

/**
 * Starts a server for tests, in this process, on a free port, with nothing on disk. It logs nothing
 * and reads no configuration, so tests that run side by side do not meet.
 *
 * It does all a server does, but sessions live as long as it: answers say `DURABILITY_NOT_DURABLE`.
 *
 * ```ts
 * await using server = await startInMemory();
 * await using sessiond = new Sessiond(server.address);
 * const session = await sessiond.sessions.create({ sessionId: "user-42" });
 * ```
 */
export async function startInMemory(options: InMemoryOptions = {}): Promise<InMemoryServer> {
  const { port = 0, allowOrigins = [], clock } = options;
  const { config } = await loadConfig({
    flags: {
      store: "memory",
      listen: `127.0.0.1:${port}`,
      probeListen: "off",
      allowOrigins: allowOrigins.join(","),
      preloadTokenizer: "false",
    },
    env: {},
    // Where no configuration file is.
    cwd: import.meta.dirname,
  });
  const overrides = clock === undefined ? {} : { clock };
  const app = await startApp({ config, log: silentLogger(), overrides });
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= app.stop();
    return stopped;
  };
  return { address: app.addresses.listen ?? "", stop, [Symbol.asyncDispose]: stop };
}
