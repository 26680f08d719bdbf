import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type CacheInfoSchema,
  GetServerInfoResponseSchema,
  LogLevel,
  type ServerService,
  SetLogLevelRequestSchema,
  SetLogLevelResponseSchema,
  StatResponseSchema,
  type StoreInfo,
  StoreInfoSchema,
} from "@sessiond/contract";
import type { CacheStats, Caches } from "../domain/cache-stats.ts";
import type { Upkeep } from "../domain/upkeep/upkeep.ts";
import { validate } from "../domain/validation/validate.ts";
import { InvalidFieldError } from "../errors.ts";
import { limits } from "../limits.ts";
import type { Store } from "../store/store.ts";
import { version } from "../version.ts";

export function serverService(args: {
  store: Store;
  upkeep: Upkeep;
  caches: Caches;
  startTimeMs: number;
  defaultEncoding: string;
  logLevel: LevelSwitch;
  clock: () => number;
}): ServiceImpl<typeof ServerService> {
  const { store, upkeep, caches, startTimeMs, defaultEncoding, logLevel } = args;
  return {
    getServerInfo: () =>
      create(GetServerInfoResponseSchema, {
        server: {
          version,
          startTime: timestampFromMs(startTimeMs),
          store: storeInfo(store),
          limits: {
            requestBytes: limits.requestBytes,
            eventBytes: limits.eventBytes,
            eventsPerAppend: limits.eventsPerAppend,
            sessionLogBytes: BigInt(limits.sessionLogBytes),
            pageSize: limits.pageSize,
            structDepth: limits.structDepth,
            watches: limits.watches,
            progressInterval: durationFromMs(limits.progressIntervalMs),
            requestIdTtl: durationFromMs(limits.requestIdTtlMs),
          },
          defaultEncoding,
          logLevel: levelOf(logLevel.current),
          caches: Object.entries(caches).map(([name, { stats }]) => cacheInfo(name, stats)),
        },
      }),
    verify: (request, { signal }) => upkeep.verify(request, signal),
    backup: (request, { signal }) => upkeep.backup(request, signal),
    stat: async (request) =>
      create(StatResponseSchema, {
        stat: { ...(await upkeep.stat(request)), store: storeInfo(store) },
      }),
    setLogLevel: (request) => {
      validate(SetLogLevelRequestSchema, request);
      const forMs = request.duration && durationMs(request.duration);
      if (forMs !== undefined && forMs > maxLevelMs) {
        throw new InvalidFieldError({ field: "duration", description: "must be at most 24 days" });
      }
      const previous = logLevel.set(levelNames[request.level], forMs);
      return create(SetLogLevelResponseSchema, {
        level: levelOf(logLevel.current),
        previousLevel: levelOf(previous),
        ...(forMs !== undefined && { revertTime: timestampFromMs(args.clock() + forMs) }),
      });
    },
  };
}

/** The level of the server's log, by the names that loggers use. */
export interface LevelSwitch {
  readonly current: LevelName;
  /** Returns the level before. Without a level: the one of the configuration. */
  set(level?: LevelName, forMs?: number): LevelName;
}

type LevelName = "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";

const levelNames: Readonly<Record<LogLevel, LevelName | undefined>> = {
  [LogLevel.UNSPECIFIED]: undefined,
  [LogLevel.TRACE]: "trace",
  [LogLevel.DEBUG]: "debug",
  [LogLevel.INFO]: "info",
  [LogLevel.WARN]: "warn",
  [LogLevel.ERROR]: "error",
  [LogLevel.FATAL]: "fatal",
  [LogLevel.SILENT]: "silent",
};

/** The longest a timer of Node runs is 24.8 days. */
const maxLevelMs = 24 * 24 * 60 * 60 * 1_000;

function levelOf(name: LevelName): LogLevel {
  return LogLevel[name.toUpperCase() as Uppercase<LevelName>];
}

function cacheInfo(name: string, stats: CacheStats): MessageInitShape<typeof CacheInfoSchema> {
  const { hits, misses, entries, bytes, limitBytes } = stats;
  return {
    name,
    hits: BigInt(hits),
    misses: BigInt(misses),
    ...(entries !== undefined && { entries: BigInt(entries) }),
    ...(bytes !== undefined && { bytes: BigInt(bytes) }),
    ...(limitBytes !== undefined && { limitBytes: BigInt(limitBytes) }),
  };
}

function storeInfo(store: Store): StoreInfo {
  const { engine, storeId, schemaVersion, durability } = store.capabilities;
  return create(StoreInfoSchema, {
    engine,
    storeId: Buffer.from(storeId).toString("hex"),
    durability,
    schemaVersion,
    writesRefused: store.writesRefused() ?? "",
  });
}
