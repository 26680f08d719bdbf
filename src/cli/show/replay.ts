import { toJson } from "@bufbuild/protobuf";
import type { SessionEvent } from "@sessiond/client";
import { EventSchema } from "@sessiond/contract";
import { InvalidArgumentError } from "commander";
import type { DataOutput } from "../host.ts";
import { jsonWriter, outputFormat } from "../output-format.ts";
import type { Server } from "../server.ts";
import { paintFor } from "../text/colours.ts";
import { eventLines } from "../text/event-line.ts";
import { durationMs, durationText } from "../text/times.ts";

/** What of a session to replay, and how. */
export interface ReplayFlags {
  /** Only the events of its run. */
  readonly steps?: true;
  readonly speed?: number;
  readonly maxPause?: number;
  readonly output?: string;
}

/** Longer pauses are no fun to watch. */
export const defaultMaxPauseMs = 5_000;

/** Parses `--speed`. */
export function speed(text: string): number {
  if (text === "max") return Number.POSITIVE_INFINITY;
  const factor = /^\d{1,9}(?:\.\d{1,9})?$/.test(text) ? Number(text) : 0;
  if (factor > 0) return factor;
  throw new InvalidArgumentError('It must be a number above 0 such as 4 or 0.5, or "max".');
}

/** Parses `--max-pause`. */
export function maxPause(text: string): number {
  const ms = text === "none" ? Number.POSITIVE_INFINITY : durationMs(text);
  if (ms !== undefined) return ms;
  throw new InvalidArgumentError('It must be a time such as 500ms, 30s or 2h, or "none".');
}

/** Prints the events of a session as they happened. */
export async function replay(server: Server, id: string, flags: ReplayFlags) {
  const { host, sessiond, interruption } = server;
  const { speed: factor = 1, maxPause: maxPauseMs = defaultMaxPauseMs } = flags;
  const { signal } = interruption;
  const { runEventNames } = await import("@sessiond/client");
  const session = await sessiond.sessions.get(id, { signal });
  const printer = printerOf(host.stdout, id, flags);
  let before: SessionEvent | undefined;
  try {
    for await (const event of session.replay({ speed: factor, maxPauseMs, signal })) {
      const pauseMs =
        before === undefined ? 0 : Number(event.createTime) - Number(before.createTime);
      before = event;
      if (pauseMs / factor > maxPauseMs) await printer.printCut(pauseMs);
      const isWanted = !flags.steps || (event.type !== undefined && event.type in runEventNames);
      if (isWanted) await printer.print(event);
    }
  } finally {
    printer.end();
  }
  return interruption.exitCode();
}

interface Printer {
  print(event: SessionEvent): Promise<void>;
  /** Says how long a pause was that was cut. */
  printCut(pauseMs: number): Promise<void>;
  end(): void;
}

function printerOf(output: DataOutput, sessionId: string, flags: ReplayFlags): Printer {
  const format = outputFormat(flags.output, "text", output);
  if (format === "text") {
    const toLine = eventLines({ output, withSession: false, full: false });
    const paint = paintFor(output);
    const write = (line: string) => {
      output.write(line);
      return output.drained();
    };
    return {
      print: (event) => write(toLine(sessionId, event)),
      printCut: (pauseMs) => write(paint("gray", `... ${durationText(pauseMs)} later\n`)),
      end() {},
    };
  }
  const writer = jsonWriter(output, format);
  return {
    print: ({ message }) => writer.write({ sessionId, event: toJson(EventSchema, message) }),
    // The times of the events say it.
    async printCut() {},
    end: () => writer.end(),
  };
}
