import type { EventsDamaged, SessionDeleted } from "@sessiond/contract";
import type { ConsumerInUseError, ConsumerTakenOverError } from "../errors/server-errors.ts";
import type { SessionEvent } from "../session-event.ts";
import type { watchStarts } from "../words.ts";

/** Events of one session that were appended together or follow each other. */
export interface ConsumedBatch {
  readonly sessionId: string;
  /** Key of the session's log. */
  readonly sessionUid: string;
  /** At least one; those that the filter hides are left out. */
  readonly events: readonly SessionEvent[];
  /** The place behind them, which is committed after the handler. */
  readonly cursor: string;
}

/** Deals with a batch; it is committed when this is done. */
export type ConsumeHandler = (batch: ConsumedBatch) => unknown;

/** What a consumer was not told of, because it came too late. */
export interface ConsumerGap {
  /**
   * "deletionsGone": sessions were deleted, with what it had not read of them, more than seven days ago.
   * "storeRestored": the store was restored from a backup, so revisions it knows may name other events.
   * Undefined: a reason newer than this client.
   */
  readonly reason: "deletionsGone" | "storeRestored" | undefined;
  readonly description: string;
}

export interface ConsumeOptions {
  /** Only this session. Default: all of the namespace. A consumer that is there keeps its own. */
  readonly sessionId?: string | undefined;
  /**
   * Only events for which this is true: an expression in CEL over `event`, for example
   * `event.type == "tool_call"`. Default: all, or that of the consumer that is there.
   */
  readonly filter?: string | undefined;
  /** Where a consumer that is not there yet begins. Default: with the first event. */
  readonly from?: keyof typeof watchStarts | { readonly cursor: string } | undefined;
  /** Take the name from whoever reads under it now. Default: wait until that reader is gone. */
  readonly takeOver?: boolean | undefined;
  /** Who reads, to be shown to others. Default: nothing. */
  readonly reader?: string | undefined;
  /** Ends the consumption well, after the batch that is being dealt with. */
  readonly signal?: AbortSignal | undefined;
  /** Called where something is missing. Without it the consumption fails with ConsumerGapError there. */
  readonly onGap?: ((gap: ConsumerGap) => unknown) | undefined;
  /** Called when a session of the namespace was deleted, in order with the events. */
  readonly onSessionDeleted?: ((deleted: SessionDeleted) => unknown) | undefined;
  /** Called when events are damaged in the store. Without it the consumption fails with DataLossError. */
  readonly onEventsDamaged?: ((damaged: EventsDamaged) => unknown) | undefined;
  /** Called each time another reader has the name, and this one waits. */
  readonly onStandby?: ((why: ConsumerInUseError | ConsumerTakenOverError) => void) | undefined;
}
