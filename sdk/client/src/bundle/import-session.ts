import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type Event,
  ImportConflict,
  ImportOutcome,
  type ImportSessionRequestSchema,
  type ImportSessionResponse,
} from "@sessiond/contract";
import { type CallOptions, toConnectOptions } from "../call-options.ts";
import { type ClientContext, translated } from "../context.ts";
import { BundleError } from "./bundle-error.ts";
import { parseBundleLine } from "./lines.ts";

/** What to do when the name of an imported session is taken. */
export const importConflicts = {
  fail: ImportConflict.FAIL,
  skip: ImportConflict.SKIP,
  "new-id": ImportConflict.NEW_ID,
} as const;

/** What became of an import. */
export type ImportOutcomeWord = "imported" | "skipped" | "checked";

export interface ImportOptions extends CallOptions {
  /** Name it gets. Default: the one it has. */
  readonly sessionId?: string | undefined;
  /**
   * When the name is taken: "fail" with SessionAlreadyExistsError, "skip" it, or give it a "new-id",
   * `<id>~1`. Default "fail".
   */
  readonly onConflict?: keyof typeof importConflicts | undefined;
  /** Check everything, store nothing. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Keep it although its retention may be over: `expiry.retention` is dropped. Default false. */
  readonly keep?: boolean | undefined;
}

type Request = MessageInitShape<typeof ImportSessionRequestSchema>;

/** Events and characters of one message: a server may hold sixteen of them, decoded. */
const batchEvents = 100;
const batchLength = 64 * 1_024;

/** Sends the lines of one session. */
export function importSession(
  context: ClientContext,
  lines: AsyncIterable<string> | Iterable<string>,
  options: ImportOptions,
): Promise<ImportSessionResponse> {
  const requests = requestsOf(context.namespace, lines, options);
  // However long it is, it is wanted whole.
  const call = { ...options, timeoutMs: options.timeoutMs ?? 0 };
  return translated(context.clients.sessions.importSession(requests, toConnectOptions(call)), {
    ...(options.sessionId !== undefined && { sessionId: options.sessionId }),
  });
}

export function outcomeWord({ outcome }: ImportSessionResponse): ImportOutcomeWord {
  if (outcome === ImportOutcome.SKIPPED) return "skipped";
  return outcome === ImportOutcome.CHECKED ? "checked" : "imported";
}

async function* requestsOf(
  namespace: string,
  lines: AsyncIterable<string> | Iterable<string>,
  { sessionId = "", onConflict = "fail", dryRun = false, keep = false }: ImportOptions,
): AsyncGenerator<Request> {
  let number = 0;
  let events: Event[] = [];
  let length = 0;
  let stands: "outside" | "inside" | "behind" = "outside";
  const batch = (): Request => {
    const value = { events };
    events = [];
    length = 0;
    return { part: { case: "events", value } };
  };
  for await (const text of lines) {
    number += 1;
    if (text.trim() === "") continue;
    const line = parseBundleLine(text, number);
    switch (line.kind) {
      case "manifest":
      case "summary":
        if (stands === "inside") throw new BundleError(number, `a ${line.kind} inside a session`);
        break;
      case "session": {
        if (stands !== "outside") throw new BundleError(number, "a second session");
        stands = "inside";
        const header = { session: line.value };
        const conflict = { onConflict: importConflicts[onConflict] };
        const value = { namespace, sessionId, ...conflict, dryRun, keep, header };
        yield { part: { case: "start", value } };
        break;
      }
      case "event":
        if (stands !== "inside") throw new BundleError(number, "an event outside of a session");
        events.push(line.value);
        length += text.length;
        if (events.length >= batchEvents || length >= batchLength) yield batch();
        break;
      case "end":
        if (stands !== "inside") throw new BundleError(number, "an end outside of a session");
        stands = "behind";
        if (events.length > 0) yield batch();
        yield { part: { case: "footer", value: line.value } };
    }
  }
  if (stands !== "behind") {
    throw new BundleError(number + 1, "the end of the session is missing; the file was cut off");
  }
}
