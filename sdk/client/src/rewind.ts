import { toConnectOptions, type WriteOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { listEvents } from "./event-list.ts";
import type { SessionEvent } from "./session-event.ts";
import { wholeNumber } from "./window/checks.ts";
import { toUsage, type WindowChange } from "./window/compaction.ts";

/** How far to rewind: the newest revision to keep, or how many groups to hide. */
export type RewindTarget = { readonly revision: number } | { readonly groups: number };

/** Takes the newest rewind back. */
export const redone = { redo: true } as const;

export interface RewindOptions extends WriteOptions {
  /** Fail with RevisionConflictError if the session is not at this revision. */
  readonly expectedRevision?: number | undefined;
}

/** What a rewind did. `revision` 0: there was nothing to hide. */
export interface RewindResult extends WindowChange {
  /** Newest revision that stayed visible: as asked for, or less where that cut a group. */
  readonly visibleThrough: number;
}

/** Rewinds a session. `Session.rewind` documents it. */
export async function rewindSession(
  context: ClientContext,
  {
    sessionId,
    target,
  }: { readonly sessionId: string; readonly target: RewindTarget | typeof redone },
  options: RewindOptions,
): Promise<RewindResult> {
  const { requestId = context.newId(), expectedRevision } = options;
  const request = {
    namespace: context.namespace,
    sessionId,
    to: toOf(target),
    requestId,
    ...(expectedRevision !== undefined && {
      expectedRevision: wholeNumber("expectedRevision", expectedRevision),
    }),
  };
  const call = context.clients.sessions.rewindSession(request, toConnectOptions(options));
  const message = await translated(call, { sessionId, requestId });
  const { revision, visibleThrough, contextUsage } = message;
  return { revision, visibleThrough, usage: toUsage(contextUsage) };
}

function toOf(target: RewindTarget | typeof redone) {
  if ("redo" in target) return { case: "redo", value: true } as const;
  return "revision" in target
    ? ({ case: "revision", value: wholeNumber("revision", target.revision) } as const)
    : ({ case: "groups", value: wholeNumber("groups", target.groups) } as const);
}

/** The events of the groups that a rewind has hidden, oldest first. */
export async function hiddenBy(
  context: ClientContext,
  sessionId: string,
  { revision, visibleThrough }: RewindResult,
): Promise<SessionEvent[]> {
  if (revision === 0) return [];
  const query = {
    first: visibleThrough + 1,
    last: revision - 1,
    order: "newest",
    includeHidden: true,
  } as const;
  const events: SessionEvent[] = [];
  let until = revision - 1;
  for await (const event of listEvents(context, sessionId, query)) {
    if (event.revision > until) continue;
    const { payload, group } = event.message;
    // An earlier rewind had hidden what stands in front of it.
    if (payload.case === "rewind") until = payload.value.revision;
    else if (group > 0) events.push(event);
  }
  return events.reverse();
}
