import { type AppendEventsResponse, Durability } from "@sessiond/contract";
import { toConnectOptions, type WriteOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { type EventInput, toEventInit } from "./event-input.ts";

export interface AppendOptions extends WriteOptions {
  /** Revision the session must be at, else RevisionConflictError. Default: any. */
  readonly expectedRevision?: number | undefined;
  /** Create the session if it does not exist. Default false. */
  readonly createIfMissing?: boolean | undefined;
}

/** What an append did. */
export interface AppendResult {
  /** Revisions of the events, in the order given. */
  readonly revisions: readonly number[];
  /** Revision of the session after the batch. */
  readonly headRevision: number;
  /** The events were synced to disk before the call returned: they survive a crash. */
  readonly isDurable: boolean;
  /** The session was created by this append. */
  readonly sessionCreated: boolean;
  /** The answer in the form of the contract, with token counts, context usage and hints. */
  readonly message: AppendEventsResponse;
}

/** Appends one batch. `Session.append` documents it. */
export async function appendEvents(
  context: ClientContext,
  { sessionId, events }: { sessionId: string; events: readonly EventInput[] },
  options: AppendOptions,
): Promise<AppendResult> {
  const { expectedRevision, createIfMissing = false, requestId = context.newId() } = options;
  const request = {
    namespace: context.namespace,
    sessionId,
    requestId,
    createIfMissing,
    events: events.map(toEventInit),
    ...(expectedRevision === undefined ? {} : { expectedRevision }),
  };
  const call = context.clients.events.appendEvents(request, toConnectOptions(options));
  const message = await translated(call, { sessionId, requestId });
  return {
    revisions: message.events.map((event) => event.revision),
    headRevision: message.headRevision,
    isDurable: message.durability === Durability.SYNCED,
    sessionCreated: message.sessionCreated,
    message,
  };
}
