import { hostname } from "node:os";
import type { SessionEvent } from "@sessiond/client";
import { CommandError } from "../command-error.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Server } from "../server.ts";
import { safe } from "../text/safe.ts";
import { resumeCommand, type TailFlags } from "./resume.ts";
import type { Since } from "./since.ts";
import type { TailItem } from "./source.ts";

/** Puts events on stdout. */
export interface Printer {
  print(item: TailItem): Promise<void>;
  end(): void;
}

/** Errors: CommandError for flags that do not go together. */
export function checkConsumer(flags: TailFlags): void {
  const fail = (message: string) => {
    throw new CommandError(exitCodes.cannotStart, message);
  };
  if (flags.consumer === undefined) {
    if (flags.takeOver) fail("--take-over needs --consumer");
    return;
  }
  if (!flags.follow) fail("--consumer needs -f: it reads on where it stopped");
  if (flags.untilEnded) fail("--until-ended is not together with --consumer; leave one out");
}

/** The reader was gone when the events were printed, so they were not. */
class OutputClosed extends Error {}

/**
 * Prints events as a consumer reads them, and commits each batch when it is printed. Goes on where the
 * name was committed; `since` says where a consumer that is not there yet begins.
 */
export async function consumeTo(
  { host, sessiond, interruption }: Server,
  printer: Printer,
  args: {
    consumer: string;
    flags: TailFlags;
    since: Since | undefined;
    isWanted: (event: SessionEvent) => boolean;
  },
): Promise<number | undefined> {
  const { consumer, flags, since, isWanted } = args;
  const cursor =
    flags.cursor ?? (since !== undefined && "cursor" in since ? since.cursor : undefined);
  const start = since !== undefined && "isNow" in since ? "now" : "beginning";
  let isWaiting = false;
  const options = {
    sessionId: flags.session,
    filter: flags.filter,
    from: cursor === undefined ? start : { cursor },
    takeOver: flags.takeOver,
    reader: `${hostname()}:${process.pid}`,
    signal: interruption.signal,
    onGap: ({ description }: { description: string }) =>
      host.stderr.write(`gap: ${safe(description)}\n`),
    onStandby: ({ message }: Error) => {
      if (!isWaiting) host.stderr.write(`waiting for the name: ${safe(message)}\n`);
      isWaiting = true;
    },
  } as const;
  try {
    await sessiond.consume(consumer, options, async ({ sessionId, events, cursor: behind }) => {
      isWaiting = false;
      for (const event of events.filter(isWanted)) {
        await printer.print({ sessionId, event, cursor: behind });
      }
      if (host.stdout.closed.aborted) throw new OutputClosed();
    });
  } catch (error) {
    if (!(error instanceof OutputClosed)) throw error;
  } finally {
    printer.end();
  }
  if (!host.stdout.closed.aborted) {
    host.stderr.write(`\nresume with: ${resumeCommand(flags, { cursor: "" })}\n`);
  }
  return interruption.exitCode();
}
