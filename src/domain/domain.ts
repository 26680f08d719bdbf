import type { Hint, ProtectionRule } from "@sessiond/contract";
import type { Clock, Ids } from "../ids.ts";
import { limits } from "../limits.ts";
import { readLog } from "../store/log.ts";
import type { ConsumerName, Store } from "../store/store.ts";
import { Exports } from "./bundles/export.ts";
import { Imports } from "./bundles/import.ts";
import type { Caches } from "./cache-stats.ts";
import { Closings } from "./children/closings.ts";
import { Removals } from "./children/removals.ts";
import { Cleanup } from "./cleanup/cleanup.ts";
import { UserData } from "./cleanup/user-data.ts";
import { Amendments } from "./context/amendments.ts";
import { BackgroundCompaction } from "./context/compaction/background.ts";
import { Compactions } from "./context/compaction/compactions.ts";
import { Compactor } from "./context/compaction/compactor.ts";
import { Reverts } from "./context/compaction/reverts.ts";
import { TokenCounting } from "./context/count.ts";
import { Drafts } from "./context/drafts.ts";
import { EventCache } from "./context/event-cache.ts";
import { Protections } from "./context/protections.ts";
import { Reencoding } from "./context/reencoding.ts";
import { Indexes } from "./context/retrieve/indexes.ts";
import { ExtractSummariser } from "./context/summarisers/extract.ts";
import type { CountTokens, Summariser } from "./context/summarisers/summariser.ts";
import { Windows } from "./context/windows.ts";
import type { CostPer1000 } from "./costs.ts";
import { Events } from "./events.ts";
import { Forks } from "./history/forks.ts";
import { Rewinds } from "./history/rewinds.ts";
import { newWarnings } from "./lifecycle/health.ts";
import { Lifecycle } from "./lifecycle/lifecycle.ts";
import { type Archive, Sweeper } from "./lifecycle/sweeper.ts";
import { Aggregates } from "./metrics/aggregates.ts";
import { ConsumerLags } from "./metrics/consumer-lags.ts";
import { Contributions } from "./metrics/contributions.ts";
import { SessionCounters } from "./metrics/session-counters.ts";
import { Protection } from "./protection/protection.ts";
import type { RuleFailure } from "./protection/rules.ts";
import type { QuotaOf } from "./quotas/quota.ts";
import { Quotas } from "./quotas/quotas.ts";
import { Requests } from "./requests.ts";
import { SessionCells, type SessionName } from "./session-cells.ts";
import { type AgentDefaults, sessionDefaults } from "./session-defaults.ts";
import { SessionList } from "./session-list.ts";
import { Sessions } from "./sessions.ts";
import { StateScopes } from "./state/scopes.ts";
import { State } from "./state/state.ts";
import { StepList } from "./steps/step-list.ts";
import { Consumers } from "./stream/consumers.ts";
import { Hub } from "./stream/hub.ts";
import { RecentCommits } from "./stream/recent-commits.ts";
import { ServerConsumers } from "./stream/server-consumers.ts";
import { Watches } from "./stream/watches.ts";
import type { TokenCounter } from "./tokens/counter.ts";

/** Everything the services call, over one store. */
export interface Domain {
  readonly sessions: Sessions;
  readonly list: SessionList;
  readonly lifecycle: Lifecycle;
  readonly cleanup: Cleanup;
  readonly userData: UserData;
  readonly forks: Forks;
  readonly rewinds: Rewinds;
  readonly events: Events;
  readonly state: State;
  readonly steps: StepList;
  readonly counters: SessionCounters;
  readonly aggregates: Aggregates;
  readonly watches: Watches;
  readonly consumers: Consumers;
  readonly consumerLags: ConsumerLags;
  /** For who reads inside the server. */
  readonly serverConsumers: ServerConsumers;
  readonly windows: Windows;
  readonly compactions: Compactions;
  readonly reverts: Reverts;
  readonly protections: Protections;
  readonly amendments: Amendments;
  readonly counting: TokenCounting;
  readonly caches: Caches;
  readonly exports: Exports;
  readonly imports: Imports;
  /** Writes down what time does to sessions; idle until it is started. */
  readonly sweeper: Sweeper;
  /** Waits for compactions that started by themselves. */
  settled(): Promise<void>;
  /** Stops the sweeper, and gives up what runs beside the calls. */
  close(): Promise<void>;
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
  /** What new sessions of an agent have unless they say otherwise, by agent id. Default: nothing. */
  readonly agentDefaults?: AgentDefaults;
  /** What namespaces may have. Default: anything. */
  readonly quotaOf?: QuotaOf;
  /** What models cost, for what compactions save. Default: no cost is known. */
  readonly costPer1000?: CostPer1000;
  /** Keys of the labels by whose values sessions are counted for aggregates. Default: none. */
  readonly metricLabels?: readonly string[];
  /** Makes summaries by a model. Absent: no endpoint is configured. */
  readonly httpSummariser?: Summariser;
  /** Hears of compactions that started by themselves and failed. */
  readonly onCompactionError?: (error: unknown, name: SessionName) => void;
  /** Keeps sessions before they are removed. Default: nobody does. */
  readonly archive?: Archive | undefined;
  /** Hears of sessions that are due and could not be ended or removed. */
  readonly onSweepError?: (error: unknown, name: SessionName) => void;
  /** Hears of sessions whose requests begin to fail more often than their policy likes. */
  readonly onHealthWarning?: (warning: Hint, name: SessionName) => void;
  /** Sinks will read: what was committed last is kept in memory for them. Default false. */
  readonly hasSinks?: boolean;
  /** Whether a sink reads under a name that begins with "sink.". Default: none does. */
  readonly isOfSink?: (name: ConsumerName) => boolean;
  /** Hears why places of consumers could not be written; they are tried again. */
  readonly onConsumerError?: (error: unknown) => void;
  /** Hears of rules that failed on an event, which is then protected. */
  readonly onRuleFailure?: (failure: RuleFailure) => void;
}

export function wireDomain(options: DomainOptions): Domain {
  const { store } = options;
  // Before the hub: a watch that is woken must find the durable head already moved.
  const contributions = new Contributions(options.metricLabels);
  const cells = new SessionCells({
    store,
    clock: options.clock,
    contributions,
    limit: limits.cachedSessions,
    limitBytes: limits.cachedSessionBytes,
  });
  const scopes = new StateScopes({ store });
  const requests = new Requests(options);
  const cache = new EventCache({ store });
  const indexes = new Indexes({ readEvents: (range) => readLog(store, range) });
  store.onCommit(({ change: { key, before, after } }) => {
    if (after === undefined) indexes.drop(key.uid);
    else for (const warning of newWarnings(before, after)) options.onHealthWarning?.(warning, key);
  });
  const protection = new Protection(options);
  const drafts = new Drafts({ ...options, cache });
  const summarisers = {
    extract: new ExtractSummariser({ count: countWith(options.tokens) }),
    http: options.httpSummariser,
  };
  const compactor = new Compactor({ ...options, drafts, summarisers });
  const windows = { ...options, cells, requests, cache, indexes, drafts, compactor };
  const compactions = new Compactions(windows);
  const background = new BackgroundCompaction({ ...windows, compactions });
  const quotas = new Quotas({ ...options, cells });
  const defaults = sessionDefaults(options.agentDefaults);
  const closings = new Closings();
  const removals = new Removals({ ...options, cells, closings });
  const children = { closings, removals };
  const reencoding = new Reencoding(windows);
  const shared = {
    ...windows,
    contributions,
    reencoding,
    ...children,
    protection,
    background,
    quotas,
    defaults,
  };
  const state = new State({ ...shared, scopes });
  const consumers = new Consumers({ ...shared, isOfSink: options.isOfSink });
  const recent = options.hasSinks
    ? new RecentCommits({ limitBytes: limits.recentCommitBytes })
    : undefined;
  if (recent !== undefined) store.onCommit((committed) => recent.add(committed));
  const watches = new Watches({ ...shared, consumers, recent, hub: new Hub({ store }) });
  const sweeper = new Sweeper({ ...shared, onError: options.onSweepError ?? (() => {}) });
  return {
    sessions: new Sessions(shared),
    list: new SessionList(shared),
    lifecycle: new Lifecycle(shared),
    cleanup: new Cleanup(shared),
    userData: new UserData({ ...shared, state }),
    forks: new Forks({ ...shared, scopes }),
    rewinds: new Rewinds(shared),
    sweeper,
    events: new Events(shared),
    state,
    steps: new StepList(shared),
    counters: new SessionCounters(shared),
    aggregates: new Aggregates(shared),
    windows: new Windows(shared),
    compactions,
    reverts: new Reverts(shared),
    protections: new Protections(shared),
    amendments: new Amendments(shared),
    counting: new TokenCounting(shared),
    caches: { heads: cells, windows: cache, tokens: drafts.sizes, search: indexes },
    exports: new Exports(shared),
    imports: new Imports(shared),
    watches,
    consumers,
    consumerLags: new ConsumerLags({ ...options, consumers }),
    serverConsumers: new ServerConsumers({ store, watches, consumers }),
    settled: () => background.settled(),
    close: async () => {
      await sweeper.stop();
      await background.close();
      await indexes.close();
      await consumers.close();
    },
  };
}

/** Counts the tokens of one text at a time. */
export function countWith(tokens: TokenCounter): CountTokens {
  return async (text, encoding) => {
    const [count] = await tokens.count([text], encoding);
    return count?.count ?? 0;
  };
}
