import type { Session } from "@sessiond/client";
import { bundleVersion, manifestLine, parseBundleLine, summaryLine } from "@sessiond/client/bundle";
import { SummaryCounter } from "../../bundle/summary.ts";

/** What was written. */
export interface Written {
  sessions: number;
  events: number;
}

/** The text of a bundle, made while it is read. `written` counts along. */
export async function* bundleTexts(args: {
  sessions: AsyncIterable<Session>;
  namespace: string;
  exportedAt: string | undefined;
  written: Written;
  signal: AbortSignal;
}): AsyncGenerator<string> {
  const { sessions, namespace, exportedAt, written, signal } = args;
  const time = exportedAt === undefined ? {} : { exportedAt };
  yield `${manifestLine({ version: bundleVersion, ...time, namespace })}\n`;
  const counter = new SummaryCounter();
  for await (const session of sessions) {
    let last = "";
    for await (const line of session.export({ signal })) {
      yield `${line}\n`;
      last = line;
    }
    const end = parseBundleLine(last, 0);
    if (end.kind !== "end") throw new TypeError("an export ends with its end");
    const { events, sha256 } = end.value;
    counter.add({ sessionId: session.sessionId, events, sha256 });
    written.sessions += 1;
    written.events += events;
  }
  yield `${summaryLine(counter.summary())}\n`;
}
