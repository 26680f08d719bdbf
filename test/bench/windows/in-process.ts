import { GetContextWindowRequestSchema, GetContextWindowResponseSchema } from "@sessiond/contract";
import { type Domain, wireDomain } from "../../../src/domain/domain.ts";
import { WorkerTokenCounter } from "../../../src/domain/tokens/worker-counter.ts";
import { randomIds } from "../../../src/ids.ts";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { decoded, decoder, encoder } from "../../../src/transport/grpc-codec.ts";

/** The server without its transport, in this process. */
export interface InProcess extends AsyncDisposable {
  readonly domain: Domain;
  /** Answers a call for a window: decodes, builds, encodes. */
  window(request: Buffer): Promise<Buffer>;
}

/** Opens a data folder, which no server may have open. */
export async function openInProcess(path: string): Promise<InProcess> {
  const store = await LmdbStore.open({ path });
  const log = { warn: (_: unknown, message: string) => void process.stderr.write(`${message}\n`) };
  const tokens = new WorkerTokenCounter({ log });
  // The worker does not keep the process alive, and nothing else does here.
  const alive = setInterval(() => {}, 1_000);
  await tokens.preload("o200k_base");
  const shutdown = new AbortController();
  const domain = wireDomain({
    store,
    tokens,
    clock: Date.now,
    ids: randomIds,
    shutdown: shutdown.signal,
  });
  const decode = decoder(GetContextWindowRequestSchema);
  const encode = encoder(GetContextWindowResponseSchema);
  return {
    domain,
    window: async (request) => encode(await domain.windows.window(decoded(decode(request)))),
    async [Symbol.asyncDispose]() {
      await domain.close();
      await tokens.close();
      await store.close();
      clearInterval(alive);
    },
  };
}
