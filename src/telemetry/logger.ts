import { type DestinationStream, destination, type Logger as PinoLogger, pino } from "pino";

/**
 * Writes log records. The levels are trace, debug, info, warn, error and fatal.
 *
 * Records never hold payloads of events, only names, numbers and errors (`err`).
 */
export type Logger = PinoLogger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

export type LogLevel = (typeof logLevels)[number];

/** Bytes of records that wait for a slow stderr; beyond it new records are dropped. */
const waitingBytes = 1024 * 1024;

export interface ServerLogger {
  readonly log: Logger;
  /** Writes out what waits. Blocks; for the moment before the process ends. */
  flush(): void;
}

/**
 * Opens the log of the server on stderr; stdout stays free for events.
 *
 * `readable: true` writes one line of text a record, for people at a terminal; otherwise a record
 * is one line of JSON. Writing does not block the event loop.
 */
export function openLogger(options: { level: LogLevel; readable: boolean }): ServerLogger {
  const stderr = destination({ fd: 2, sync: false, maxLength: waitingBytes });
  const target = options.readable ? asLines(stderr) : stderr;
  return { log: createLogger({ level: options.level }, target), flush: () => stderr.flushSync() };
}

/** A logger that writes its records as JSON lines to a stream of the caller's. */
export function createLogger(options: { level: LogLevel }, target: DestinationStream): Logger {
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    target,
  );
}

/** A logger for tests and embedding: takes everything, writes nothing. */
export function silentLogger(): Logger {
  return pino({ level: "silent" });
}

function asLines(target: DestinationStream): DestinationStream {
  return { write: (record) => target.write(`${toLine(record)}\n`) };
}

/** `12:34:56 warn  message  key=value`, an error's stack on lines of its own. */
export function toLine(record: string): string {
  const { level, time, msg, err, ...rest } = JSON.parse(record) as Record<string, unknown>;
  const clock = String(time).slice(11, 19);
  const fields = Object.entries(rest).map(([key, value]) => `  ${key}=${asText(value)}`);
  const head = `${clock} ${String(level).padEnd(5)} ${String(msg ?? "")}${fields.join("")}`;
  return hasStack(err) ? `${head}\n${err.stack}` : head;
}

function asText(value: unknown): string {
  return typeof value === "string" && /^[\w.:/@+,[\]-]+$/.test(value)
    ? value
    : JSON.stringify(value);
}

function hasStack(value: unknown): value is { stack: string } {
  return typeof value === "object" && value !== null && "stack" in value;
}
