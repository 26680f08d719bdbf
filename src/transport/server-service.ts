import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { GetServerInfoResponseSchema, type ServerService } from "@sessiond/contract";
import { limits } from "../limits.ts";
import type { Store } from "../store/store.ts";
import { version } from "../version.ts";

export function serverService(args: {
  store: Store;
  startTimeMs: number;
  defaultEncoding: string;
}): ServiceImpl<typeof ServerService> {
  const { store, startTimeMs, defaultEncoding } = args;
  const { engine, storeId, schemaVersion, durability } = store.capabilities;
  return {
    getServerInfo: () =>
      create(GetServerInfoResponseSchema, {
        server: {
          version,
          startTime: timestampFromMs(startTimeMs),
          store: {
            engine,
            storeId: Buffer.from(storeId).toString("hex"),
            durability,
            schemaVersion,
            writesRefused: store.writesRefused() ?? "",
          },
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
        },
      }),
  };
}
