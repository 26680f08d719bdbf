/** A transport of pino: log lines become events of a session. Begin at the default export. */

import { writeSync } from "node:fs";
import { type LogOptions, toSettings } from "./log-options.ts";
import { LogSender } from "./log-sender.ts";
import { LogStream } from "./log-stream.ts";

export type { LogOptions } from "./log-options.ts";
export { droppedType, logType } from "./log-queue.ts";
export type { LogStream } from "./log-stream.ts";

/**
 * Makes the stream that pino writes lines of JSON to, in its worker thread or, handed to `pino()`, in
 * the caller's. Each line becomes a `custom` event of type "log" with the line's object as its value.
 *
 * It never holds up the program that logs: lines wait in a bounded queue while the server is away,
 * and beyond the bound the newest are dropped; a "log_dropped" event says how many, where they were.
 * Its warnings go to stderr. Ending it stores what waits, within `flushTimeoutMs`.
 *
 * Errors: UsageError for options that make no sense.
 *
 * ```ts
 * import pino from "pino";
 *
 * const options = { sessionId: "run-7-log", fields: { parent: "run-7" } };
 * const logger = pino({ transport: { target: "@sessiond/client/pino", options } });
 * logger.info({ tool: "search" }, "found 3 papers");
 * ```
 */
// biome-ignore lint/style/noDefaultExport: pino takes a transport from a default export.
export default function sessionLog(options: LogOptions): LogStream {
  const settings = toSettings(options);
  return new LogStream({ sender: new LogSender({ settings, warn }), level: settings.level });
}

/** At once, because what a worker thread writes to `process.stderr` is lost when its process exits. */
function warn(text: string): void {
  try {
    writeSync(2, `sessiond log transport: ${text}\n`);
  } catch {
    // Nobody reads it.
  }
}
