import type { Session as SessionMessage } from "@sessiond/contract";
import { type CallOptions, toConnectOptions } from "./call-options.ts";
import { type ClientContext, translated } from "./context.ts";
import { PageList } from "./page.ts";
import type { Session } from "./session.ts";
import { type OrderWord, type StateWord, sessionOrders, states } from "./words.ts";

/** Which sessions of the namespace, and in what pages. All given filters must match. */
export interface SessionQuery extends CallOptions {
  readonly state?: StateWord | undefined;
  readonly agentId?: string | undefined;
  readonly userId?: string | undefined;
  /** Children of this session, or of the one with this name, without theirs. Forks are no children. */
  readonly parent?: Session | string | undefined;
  /** Sessions that carry these labels. */
  readonly labels?: Record<string, string> | undefined;
  /**
   * For which this is true: an expression in CEL over `session`, for example
   * `session.error_rate > 0.5 && session.age_ms > 3600000`. The contract lists its fields.
   */
  readonly filter?: string | undefined;
  /** By creation time. Default "newest" first. */
  readonly order?: OrderWord | undefined;
  /** Sessions of a page, up to 1,000. Default 50. */
  readonly pageSize?: number | undefined;
  /** Begin at this page, from `nextPageToken` of the same query. */
  readonly pageToken?: string | undefined;
}

/** Lists sessions. `Sessions.list` documents it. */
export function listSessions<T>(
  { namespace, clients }: ClientContext,
  query: SessionQuery,
  toItem: (message: SessionMessage) => T,
): PageList<T> {
  const { state, agentId = "", userId = "", labels = {}, order = "newest", pageSize = 0 } = query;
  const { filter = "", parent } = query;
  const parentSessionId = idOf(parent);
  const request = {
    namespace,
    filter,
    agentId,
    userId,
    parentSessionId,
    labels,
    pageSize,
    order: sessionOrders[order],
    ...(state === undefined ? {} : { state: states[state] }),
  };
  return new PageList(async (pageToken = "") => {
    const call = clients.sessions.listSessions({ ...request, pageToken }, toConnectOptions(query));
    const subject = parentSessionId === "" ? {} : { sessionId: parentSessionId };
    const { sessions, nextPageToken } = await translated(call, subject);
    return { items: sessions.map(toItem), nextPageToken: nextPageToken || undefined };
  }, query.pageToken);
}

/** Name of a session; "" for none. */
export function idOf(session: Session | string = ""): string {
  return typeof session === "string" ? session : session.sessionId;
}
