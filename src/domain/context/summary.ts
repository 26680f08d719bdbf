import { create } from "@bufbuild/protobuf";
import {
  type Event,
  EventSchema,
  type RevisionRange,
  Role,
  TokenAccuracy,
  TokenCountSchema,
} from "@sessiond/contract";
import type { CompactionState } from "@sessiond/contract/store";
import type { ModelEncoding } from "../tokens/encodings.ts";
import type { EventCache, Log } from "./event-cache.ts";
import { summaryText } from "./summarisers/untrusted.ts";

/** The summary of the compaction in force, as a window shows it. */
export interface Summary {
  readonly text: string;
  /** What the window shows: the text, and that it is a summary. */
  readonly event: Event;
  readonly covered: readonly RevisionRange[];
}

const made = new WeakMap<Event, Event>();

/**
 * What the compaction in force covers, and the event that stands for it, counted in the session's
 * own encoding; no event where it left nothing in their place.
 *
 * Errors: DataLossError.
 */
export async function readCompaction(args: {
  cache: EventCache;
  log: Log;
  compaction: CompactionState | undefined;
  encoding: ModelEncoding;
}): Promise<{ summary: Summary | undefined; covered: readonly RevisionRange[] }> {
  const { cache, log, compaction, encoding } = args;
  if (compaction === undefined) return { summary: undefined, covered: [] };
  const [event] = await cache.range(log, compaction.revision, compaction.revision);
  if (event?.payload.case !== "compaction") return { summary: undefined, covered: [] };
  const { summary, covered } = event.payload.value;
  if (summary === "") return { summary: undefined, covered };
  let shown = made.get(event);
  const isAsCounted =
    shown?.tokens?.count === compaction.summaryTokens &&
    shown.tokens.encoding === encoding.encoding;
  if (shown === undefined || !isAsCounted) {
    shown = summaryEvent(summary);
    shown.tokens = create(TokenCountSchema, {
      count: compaction.summaryTokens,
      encoding: encoding.encoding,
      accuracy: encoding.factor === 1 ? TokenAccuracy.EXACT : TokenAccuracy.ESTIMATED,
    });
    made.set(event, shown);
  }
  return { summary: { text: summary, event: shown, covered }, covered };
}

/** A summary as a message of the window. */
export function summaryEvent(summary: string): Event {
  return create(EventSchema, {
    role: Role.USER,
    payload: { case: "message", value: { text: summaryText(summary) } },
  });
}
