import type { ProtectionRule } from "@sessiond/contract";
import type { Clock, Ids } from "../ids.ts";
import { limits } from "../limits.ts";
import type { Store } from "../store/store.ts";
import { TokenCounting } from "./context/count.ts";
import { EventCache } from "./context/event-cache.ts";
import { Indexes } from "./context/retrieve/indexes.ts";
import { Windows } from "./context/windows.ts";
import { Events } from "./events.ts";
import { Protection } from "./protection/protection.ts";
import type { RuleFailure } from "./protection/rules.ts";
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
  readonly windows: Windows;
  readonly counting: TokenCounting;
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
  /** Protection rules of the configuration, by namespace. Default: none. */
  readonly namespaceRules?: (namespace: string) => readonly ProtectionRule[];
  /** Hears of rules that failed on an event, which is then protected. */
  readonly onRuleFailure?: (failure: RuleFailure) => void;
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
  const cache = new EventCache({ store });
  const indexes = new Indexes({ readEvents: (range) => store.readEvents(range) });
  const protection = new Protection(options);
  const shared = { ...options, cells, requests, cache, indexes, protection };
  return {
    sessions: new Sessions(shared),
    list: new SessionList(shared),
    events: new Events(shared),
    windows: new Windows(shared),
    counting: new TokenCounting(shared),
    watches: new Watches({ ...shared, hub: new Hub({ store }) }),
  };
}
