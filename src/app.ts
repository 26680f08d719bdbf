import { create } from "@bufbuild/protobuf";
import {
  ConsumerService,
  ContextService,
  EventService,
  MetricsService,
  type ProtectionRule,
  ProtectionRuleSchema,
  ServerService,
  SessionService,
} from "@sessiond/contract";
import { AppHealth } from "./app-health.ts";
import { AppMetrics } from "./app-metrics.ts";
import { isOfSink, openSinks } from "./app-sinks.ts";
import type { Config } from "./config.ts";
import type { Address } from "./config-values.ts";
import { costTable } from "./domain/costs.ts";
import { countWith, type DomainOptions, wireDomain } from "./domain/domain.ts";
import { Contributions } from "./domain/metrics/contributions.ts";
import { countStored } from "./domain/metrics/count-stored.ts";
import type { TokenCounter } from "./domain/tokens/counter.ts";
import { encodingForModel } from "./domain/tokens/encodings.ts";
import { WorkerTokenCounter } from "./domain/tokens/worker-counter.ts";
import { Upkeep } from "./domain/upkeep/upkeep.ts";
import { type Clock, type Ids, randomIds, steadyClock } from "./ids.ts";
import { limits } from "./limits.ts";
import { ConsumerSource } from "./sinks/consumer-source.ts";
import type { LineOutput } from "./sinks/stdout.ts";
import { Housekeeping } from "./store/housekeeping.ts";
import type { Store } from "./store/store.ts";
import { RunningLogLevel } from "./telemetry/log-level.ts";
import type { Logger } from "./telemetry/logger.ts";
import { consumerService } from "./transport/consumer-service.ts";
import { contextService } from "./transport/context-service.ts";
import { eventService } from "./transport/event-service.ts";
import { metricsService } from "./transport/metrics-service.ts";
import { route } from "./transport/routes.ts";
import { TransportServer } from "./transport/server.ts";
import { serverService } from "./transport/server-service.ts";
import { sessionService } from "./transport/session-service.ts";
import { version } from "./version.ts";

/** A running server. */
export interface App {
  /** Where it listens, as a client would write it: `127.0.0.1:7377`, `/run/sessiond.sock`. */
  readonly addresses: {
    readonly listen?: string;
    readonly unix?: string;
    readonly probe?: string;
  };
  /**
   * Ends in order: health says NOT_SERVING, no new calls, running ones finish, streams end with an
   * error that can be resumed from, sinks deliver what is there if they can, the store is closed.
   */
  stop(): Promise<void>;
  /** Has sinks begin their files anew. Errors are logged. */
  reopen(): Promise<void>;
  /**
   * Resolves when the store failed during a commit. What it holds is then unknown until it is
   * opened again, so the process must end.
   */
  readonly failed: Promise<Error>;
}

export interface AppOptions {
  readonly config: Config;
  readonly log: Logger;
  /** Where a sink for stdout writes. */
  readonly stdout?: LineOutput;
  /** Parts that tests replace. */
  readonly overrides?: {
    readonly store?: Store;
    readonly clock?: Clock;
    readonly ids?: Ids;
    readonly progressIntervalMs?: number;
  };
}

/** Wires the parts together and starts them. Errors: StartError. */
export async function startApp(options: AppOptions): Promise<App> {
  const { config, log, overrides = {} } = options;
  const clock = overrides.clock ?? steadyClock();
  // Nobody could read them without the port.
  const metrics = config.probeListen && new AppMetrics();
  const store = overrides.store ?? (await openStore(config, log, metrics));
  const metricLabels = config.metrics?.labels ?? [];
  metrics?.observeStore(store);
  const tokens = new WorkerTokenCounter({ log, ...metrics?.ofTokens });
  const shutdown = new AbortController();
  const housekeeping = new Housekeeping({ store, clock, log });
  const logLevel = new RunningLogLevel({ log, configured: config.logLevel });
  const { encoding: defaultEncoding } = encodingForModel(undefined);
  try {
    const counted = await countStored(store, new Contributions(metricLabels));
    if (counted) log.info({ sessions: counted }, "sessions of an older version were counted");
    const { ids = randomIds, progressIntervalMs } = overrides;
    const domain = wireDomain({
      store,
      tokens,
      clock,
      ids,
      shutdown: shutdown.signal,
      hasSinks: Object.keys(config.sinks ?? {}).length > 0,
      isOfSink: isOfSink(config),
      ...(await httpSummariser(config, tokens)),
      ...ofNamespaces(config),
      metricLabels,
      agentDefaults: (agentId) => ownEntry(config.agents ?? {}, agentId),
      costPer1000: costTable(config.costs ?? {}),
      ...(await archiving(config, { store, clock, log })),
      onRuleFailure: (failure) => log.warn(failure, "a protection rule failed; it protects"),
      onHealthWarning: ({ code, message }, { namespace, sessionId }) =>
        log.warn({ namespace, sessionId, code }, message),
      onSweepError: (err, name) => {
        if (err instanceof ArchiveError) return;
        log.warn({ err, ...name }, "a session that is due was not ended");
      },
      onConsumerError: (err) => log.warn({ err }, "cursors of consumers could not be written"),
      onCompactionError: (err, name) => log.warn({ err, ...name }, "a compaction failed"),
      ...(progressIntervalMs !== undefined && { progressIntervalMs }),
    });
    const upkeep = new Upkeep({
      store,
      clock,
      version,
      shutdown: shutdown.signal,
      dataFolder: config.data,
      openCopy: (folder) => openFolder(config, folder, log),
    });
    const health = new AppHealth({ store, dataFolder: config.data, shutdown: shutdown.signal });
    const transport = new TransportServer({
      listen: config.listen,
      ...(config.unix !== undefined && { unix: config.unix }),
      ...(config.probeListen && { probeListen: config.probeListen }),
      routes: [
        route(SessionService, sessionService(domain)),
        route(EventService, eventService({ ...domain, shutdown: shutdown.signal })),
        route(ContextService, contextService(domain)),
        route(MetricsService, metricsService(domain)),
        route(ConsumerService, consumerService(domain)),
        route(
          ServerService,
          serverService({
            ...domain,
            store,
            upkeep,
            logLevel,
            clock,
            startTimeMs: clock(),
            defaultEncoding,
          }),
        ),
      ],
      allowHosts: config.allowHosts,
      allowOrigins: config.allowOrigins,
      limits,
      log,
      // Refused writes are not ill health: reads and deletes still work, a restart frees nothing.
      healthz: () => ({ ok: true, detail: store.writesRefused() ?? "ok" }),
      ...metrics?.ofCalls,
      probePages: new Map([...health.pages, ...(metrics?.pages ?? [])]),
      shutdown,
    });
    const source = new ConsumerSource({ store, consumers: domain.serverConsumers });
    const sinks = await openSinks({ ...options, source, store, now: clock });
    const bound = await transport.open();
    housekeeping.start();
    sinks.start();
    domain.sweeper.start();
    metrics?.start(
      { ...domain, sinks, store, dataFolder: config.data, running: () => transport.running },
      (err) => log.warn({ err }, "the sessions could not be counted"),
    );
    // After the start, because loading takes a tenth of a second and 65 MB.
    if (config.preloadTokenizer) tokens.preload(defaultEncoding).catch(() => {});

    // First the callers hear that the outcome is unknown, so that they know to ask again.
    const failed = new Promise<Error>((resolve) =>
      store.onFailure((error) => transport.drain(limits.failureDrainMs).then(() => resolve(error))),
    );
    return {
      addresses: {
        ...(bound.listen && { listen: written(bound.listen) }),
        ...(bound.unix !== undefined && { unix: bound.unix }),
        ...(bound.probeListen && { probe: written(bound.probeListen) }),
      },
      async stop() {
        await transport.drain(limits.drainMs);
        await sinks.stop();
        await domain.close();
        await upkeep.close();
        await metrics?.close();
        await housekeeping.stop();
        await tokens.close();
        await store.close();
        logLevel.close();
      },
      reopen: () => sinks.reopen(),
      failed,
    };
  } catch (error) {
    await tokens.close();
    await store.close();
    throw error;
  }
}

async function openStore(
  config: Config,
  log: Logger,
  metrics: AppMetrics | undefined,
): Promise<Store> {
  switch (config.store) {
    case "memory": {
      const { MemoryStore } = await import("./store/memory/memory-store.ts");
      return MemoryStore.open();
    }
    case "lmdb":
      return openFolder(config, config.data, log, metrics);
  }
}

async function openFolder(
  { maxMapSize }: Config,
  path: string,
  log: Logger,
  metrics?: AppMetrics,
): Promise<Store> {
  const { LmdbStore } = await import("./store/lmdb/lmdb-store.ts");
  return LmdbStore.open({
    path,
    onDamage: (err) => log.error({ err }, "a damaged session is left out of a list"),
    ...(maxMapSize !== undefined && { mapSizeBytes: maxMapSize }),
    ...metrics?.ofWrites,
  });
}

/** Loaded only where an endpoint is configured. */
async function httpSummariser({ summariser }: Config, tokens: TokenCounter) {
  if (summariser === undefined) return {};
  const { HttpSummariser } = await import("./domain/context/summarisers/http.ts");
  const { fixedKey, keyFromFile } = await import("./completions/key.ts");
  const { keyFile, key, ...endpoint } = summariser;
  return {
    httpSummariser: new HttpSummariser({
      ...endpoint,
      count: countWith(tokens),
      key: keyFile === undefined ? fixedKey(key?.reveal()) : keyFromFile(keyFile),
    }),
  };
}

/** Loaded only where a folder is configured. */
async function archiving(
  { archive: folder }: Config,
  { store, clock, log }: { store: Store; clock: Clock; log: Logger },
): Promise<Pick<DomainOptions, "archive">> {
  if (folder === undefined) return {};
  const { archiveInto } = await import("./archive/archive.ts");
  const { exportParts } = await import("./domain/bundles/export.ts");
  const write = archiveInto({ folder, now: clock, parts: (stored) => exportParts(store, stored) });
  let isFailing = false;
  return {
    archive: async (stored) => {
      try {
        await write(stored);
        isFailing = false;
      } catch (err) {
        // Once, however many sessions wait and however often they are tried.
        if (!isFailing)
          log.warn({ err, folder }, "the archive cannot be written; sessions stay until it can");
        isFailing = true;
        throw new ArchiveError(err);
      }
    },
  };
}

/** The archive cannot be written; it was logged. */
class ArchiveError extends Error {
  constructor(cause: unknown) {
    super("the archive cannot be written", { cause });
  }
}

/** What the configuration says of namespaces. */
function ofNamespaces({
  namespaces = {},
}: Config): Pick<DomainOptions, "namespaceRules" | "quotaOf"> {
  const entry = (namespace: string) => ownEntry(namespaces, namespace) ?? namespaces["*"];
  const rules = new Map<unknown, ProtectionRule[]>(
    Object.values(namespaces).map((config) => [
      config,
      config.protectionRules.map((rule) => create(ProtectionRuleSchema, rule)),
    ]),
  );
  return {
    namespaceRules: (namespace) => rules.get(entry(namespace)) ?? [],
    quotaOf: (namespace) => entry(namespace)?.quota,
  };
}

/** A table's entry of that name, and none that every object has. */
function ownEntry<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

function written({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
