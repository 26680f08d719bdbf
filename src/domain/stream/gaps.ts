import { create } from "@bufbuild/protobuf";
import {
  type WatchEventsResponse,
  WatchEventsResponseSchema,
  WatchGapReason,
} from "@sessiond/contract";
import type { CursorPlace } from "../../cursor.ts";
import { HistoryGoneError } from "../../errors.ts";
import type { Step } from "./channel.ts";
import { countOf } from "./consumer-place.ts";
import type { Feed } from "./session-feed.ts";

/** A step of a watch, with what its reader knows behind it. */
export interface ReaderStep extends Step {
  readonly knownThrough: number;
}

/** The next step of a watch. Errors: those of `Feed.read`. */
export async function readStep(feed: Feed, from: CursorPlace): Promise<ReaderStep> {
  const step = await feed.read(from);
  return { ...step, knownThrough: Math.max(step.place, from.knownThrough) };
}

/** The same for a consumer, which is told of deletions that it missed, and goes on. */
export async function readStepOrGap(feed: Feed, from: CursorPlace): Promise<ReaderStep> {
  try {
    return await readStep(feed, from);
  } catch (error) {
    const gone = feed.goneThrough();
    if (!(error instanceof HistoryGoneError) || gone <= from.knownThrough) throw error;
    const commits = countOf(gone - from.knownThrough);
    const message = gapMessage(feed.cursor.encode(from.place, gone), {
      reason: WatchGapReason.DELETIONS_GONE,
      description: `sessions were deleted among the ${commits} commits behind ${from.knownThrough}, so long ago that it is told no more which; what was not read of them is gone`,
      commits,
    });
    return { place: from.place, knownThrough: gone, message };
  }
}

/** What a consumer is told first in a store that was restored since it committed. */
export function restoredGap(cursor: string): WatchEventsResponse {
  return gapMessage(cursor, {
    reason: WatchGapReason.STORE_RESTORED,
    description:
      "the store was restored from a backup: what was read after that was made may never have been, and its revisions may name other events now",
    commits: 0,
  });
}

function gapMessage(
  cursor: string,
  value: { reason: WatchGapReason; description: string; commits: number },
): WatchEventsResponse {
  return create(WatchEventsResponseSchema, { cursor, message: { case: "gap", value } });
}
