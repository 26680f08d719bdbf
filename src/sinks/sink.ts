import type { Event } from "@sessiond/contract";

/** What a sink is told of a session, in the order of its log. */
export type SinkMessage =
  | {
      readonly kind: "event";
      readonly sessionId: string;
      readonly sessionUid: string;
      /** Without what its sink must not have: content and redacted fields are gone already. */
      readonly event: Event;
    }
  /** The session was deleted; the revisions are those it had. */
  | {
      readonly kind: "session_deleted";
      readonly sessionId: string;
      readonly sessionUid: string;
      readonly firstRevision: number;
      readonly lastRevision: number;
    }
  /** Events of the session cannot be read, and are left out. */
  | {
      readonly kind: "events_damaged";
      readonly sessionId: string;
      readonly sessionUid: string;
      readonly firstRevision: number;
      readonly lastRevision: number;
    }
  /** Retention was faster than the sink: what was removed unseen is told no more. */
  | { readonly kind: "gap"; readonly description: string };

/** Messages of one namespace that follow each other. */
export interface SinkBatch {
  readonly namespace: string;
  readonly messages: readonly SinkMessage[];
}

/**
 * Where the server itself sends events. It gets one batch of a namespace after the other, each session
 * in order, and after a failure or a restart those again that it had not acknowledged.
 */
export interface Sink {
  /**
   * Delivers a batch. Resolves when the receiver has it; only then the place of the sink moves on.
   *
   * Errors: RefusedBatchError when the receiver will never take it; SinkEndedError when there is no receiver
   * any more; any other means «again, later», a DeliveryError may say when. Their messages get into the log,
   * so they hold nothing of what was sent, and no secret.
   */
  deliver(batch: SinkBatch, signal: AbortSignal): Promise<void>;
  /** Begins its output anew, for example with a new file, as SIGHUP asks for. Absent: it has none. */
  reopen?(): Promise<void>;
  /** Lets go of what it holds. No delivery is under way, and none follows. */
  close(): Promise<void>;
}

/** The receiver will never take the batch: trying again would hold up all that follows. */
export class RefusedBatchError extends Error {
  /** Those that were refused, when the receiver has the others. Absent: all. */
  readonly messages: readonly SinkMessage[] | undefined;

  constructor(message: string, { messages }: { messages?: readonly SinkMessage[] } = {}) {
    super(message);
    this.messages = messages;
  }
}

/** There is no receiver any more: the sink ends, and goes on from its place after the next start. */
export class SinkEndedError extends Error {}

/** The batch was not delivered, and may be later. */
export class DeliveryError extends Error {
  /** When the receiver wants to be tried again. Absent: it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor(
    message: string,
    options: { retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retryAfterMs = options.retryAfterMs;
  }
}
