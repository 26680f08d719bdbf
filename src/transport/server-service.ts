import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type CacheInfoSchema,
  GetServerInfoResponseSchema,
  type ServerService,
  StatResponseSchema,
  type StoreInfo,
  StoreInfoSchema,
} from "@sessiond/contract";
import type { CacheStats, Caches } from "../domain/cache-stats.ts";
import type { Upkeep } from "../domain/upkeep/upkeep.ts";
import { limits } from "../limits.ts";
import type { Store } from "../store/store.ts";
import { version } from "../version.ts";

export function serverService(args: {
  store: Store;
  upkeep: Upkeep;
  caches: Caches;
  startTimeMs: number;
  defaultEncoding: string;
}): ServiceImpl<typeof ServerService> {
  const { store, upkeep, caches, startTimeMs, defaultEncoding } = args;
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
          caches: Object.entries(caches).map(([name, { stats }]) => cacheInfo(name, stats)),
        },
      }),
    verify: (request, { signal }) => upkeep.verify(request, signal),
    backup: (request, { signal }) => upkeep.backup(request, signal),
    stat: async (request) =>
      create(StatResponseSchema, {
        stat: { ...(await upkeep.stat(request)), store: storeInfo(store) },
      }),
  };
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
