import { UsageError } from "../errors/client-errors.ts";
import type { NewSession } from "../sessions.ts";

/** What a session of log lines has when it is created; a parent by its name. */
type LogFields = Omit<NewSession, "sessionId" | "parent"> & { readonly parent?: string };

/** Options of the transport. All can be cloned, so that they reach a worker thread. */
export interface LogOptions {
  /**
   * Session that takes the lines; created if it does not exist. Give logs a session of their own:
   * context windows show what is in a session, log lines too.
   */
  readonly sessionId: string;
  /** What a session that is created has, for example `{ parent: "run-7", agentId: "travel" }`. */
  readonly fields?: LogFields;
  /** `host:port` or `unix:/path`. Default: `SESSIOND_ADDRESS`, else 127.0.0.1:7377. */
  readonly address?: string;
  /** Default "default". */
  readonly namespace?: string;
  /** Lowest level that is kept, a name of pino's or a number. Default: all lines that arrive. */
  readonly level?: string | number;
  /** Lines of one append. Default 500, at most 1,000. */
  readonly batchLines?: number;
  /** How long a line waits for others. Default 250. */
  readonly batchMs?: number;
  /** Lines that wait, also while the server is away. Default 10,000; their bytes: 16 MiB. */
  readonly queueLines?: number;
  /** How long the end of the stream waits for the server. Default 5,000: pino itself waits 10 s. */
  readonly flushTimeoutMs?: number;
}

/** Options with their defaults. */
export interface LogSettings {
  readonly sessionId: string;
  readonly fields: LogFields;
  readonly address: string | undefined;
  readonly namespace: string | undefined;
  readonly level: number;
  readonly batchLines: number;
  readonly batchMs: number;
  readonly queueLines: number;
  readonly flushTimeoutMs: number;
}

const eventsPerAppend = 1_000;
/** Of pino; other names have to be given as numbers. */
const levels = new Map(
  Object.entries({ trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 }),
);

/** The number of a level; undefined: it is neither a name of pino's own nor a number. */
export function levelNumber(level: unknown): number | undefined {
  if (typeof level === "string") return levels.get(level);
  return typeof level === "number" && !Number.isNaN(level) ? level : undefined;
}

/** Fills in defaults. Errors: UsageError. */
export function toSettings(options: LogOptions): LogSettings {
  const { sessionId, fields = {}, address, namespace, level = 0 } = options;
  // The options may come from JavaScript or a configuration file.
  if (typeof sessionId !== "string" || sessionId === "") {
    throw new UsageError("the log transport needs `sessionId`, the session that takes the lines");
  }
  const number = levelNumber(level);
  if (number === undefined) {
    throw new UsageError(`level "${level}" is none of ${[...levels.keys()].join(", ")}`);
  }
  return {
    sessionId,
    fields,
    address,
    namespace,
    level: number,
    batchLines: count("batchLines", options.batchLines ?? 500, eventsPerAppend),
    batchMs: count("batchMs", options.batchMs ?? 250, 60_000),
    queueLines: count("queueLines", options.queueLines ?? 10_000, 1_000_000),
    flushTimeoutMs: count("flushTimeoutMs", options.flushTimeoutMs ?? 5_000, 60_000),
  };
}

function count(name: string, value: number, max: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= max) return value;
  throw new UsageError(`${name} is ${value}; give a whole number from 1 to ${max}`);
}
