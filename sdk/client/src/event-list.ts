import { type CallOptions, toConnectOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { PageList } from "./page.ts";
import { type SessionEvent, toSessionEvent } from "./session-event.ts";
import { eventOrders, type OrderWord } from "./words.ts";

/** Which events of a session, and in what pages. */
export interface EventQuery extends CallOptions {
  /** First revision. Default: the oldest. */
  readonly first?: number | undefined;
  /** Last revision, included. Default: the newest. */
  readonly last?: number | undefined;
  /** Default "oldest" first. */
  readonly order?: OrderWord | undefined;
  /** Events that a rewind hides, too. Default false. */
  readonly includeHidden?: boolean | undefined;
  /** Events of a page, up to 1,000. Default 50. */
  readonly pageSize?: number | undefined;
  /** Begin at this page, from `nextPageToken` of the same query. */
  readonly pageToken?: string | undefined;
}

/** Lists events of a session. Errors: SessionNotFoundError, PageTokenInvalidError. */
export function listEvents(
  context: ClientContext,
  sessionId: string,
  query: EventQuery,
): PageList<SessionEvent> {
  const { first = 0, last = 0, order = "oldest", includeHidden = false, pageSize = 0 } = query;
  const request = {
    namespace: context.namespace,
    sessionId,
    firstRevision: first,
    lastRevision: last,
    order: eventOrders[order],
    includeHidden,
    pageSize,
  };
  return new PageList(async (pageToken = "") => {
    const call = context.clients.events.listEvents(
      { ...request, pageToken },
      toConnectOptions(query),
    );
    const { events, nextPageToken } = await translated(call, { sessionId });
    return { items: events.map(toSessionEvent), nextPageToken: nextPageToken || undefined };
  }, query.pageToken);
}
