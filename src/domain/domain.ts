import type { Clock, Ids } from "../ids.ts";
import { limits } from "../limits.ts";
import type { Store } from "../store/store.ts";
import { Events } from "./events.ts";
import { Requests } from "./requests.ts";
import { SessionCells } from "./session-cells.ts";
import { SessionList } from "./session-list.ts";
import { Sessions } from "./sessions.ts";
import { Hub } from "./stream/hub.ts";
import { Watches } from "./stream/watches.ts";
import type { TokenCounter } from "./tokens/counter.ts";

/** Everything the services call, over one store. */
export interface Domain {
  readonly sessions: Sessions;
  readonly list: SessionList;
  readonly events: Events;
  readonly watches: Watches;
}

export interface DomainOptions {
  readonly store: Store;
  readonly tokens: TokenCounter;
  readonly clock: Clock;
  readonly ids: Ids;
  /** Fires when the server is about to stop; ends watches. */
  readonly shutdown: AbortSignal;
  /** How often a quiet watch says it is current. Default from `limits.ts`. */
  readonly progressIntervalMs?: number;
}

export function wireDomain(options: DomainOptions): Domain {
  const { store } = options;
  // Before the hub: a watch that is woken must find the durable head already moved.
  const cells = new SessionCells({
    store,
    limit: limits.cachedSessions,
    limitBytes: limits.cachedSessionBytes,
  });
  const requests = new Requests(options);
  const shared = { ...options, cells, requests };
  return {
    sessions: new Sessions(shared),
    list: new SessionList(shared),
    events: new Events(shared),
    watches: new Watches({ ...shared, hub: new Hub({ store }) }),
  };
}
