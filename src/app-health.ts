import { setTimeout as sleep } from "node:timers/promises";
import { freeBytes } from "./app-readings.ts";
import type { Store } from "./store/store.ts";
import type { Page } from "./transport/http.ts";

/** A commit that waits for the disk longer holds up everybody who writes. */
const slowCommitMs = 5_000;
/** An event loop that is later is worth a word. */
const lateMs = 100;

/** What is looked at, and how it is. */
interface Check {
  readonly what: string;
  readonly detail: string;
  /** Nobody should be sent here until it is over. Default: no. */
  readonly keepsAway?: boolean;
}

/**
 * Says what is wrong with a server.
 *
 * `GET /livez` answers 200 as long as anything is answered: what a restart would mend ends the process
 * by itself. `GET /readyz` answers 503 while calls would be in vain: during a shutdown, after the store
 * has failed, while a commit is stuck. Refused writes are not ill health: reads and deletes still work.
 */
export class AppHealth {
  readonly #store: Store;
  readonly #dataFolder: string;
  readonly #shutdown: AbortSignal;
  #failure: Error | undefined;

  constructor(args: { store: Store; dataFolder: string; shutdown: AbortSignal }) {
    this.#store = args.store;
    this.#dataFolder = args.dataFolder;
    this.#shutdown = args.shutdown;
    args.store.onFailure((error) => {
      this.#failure = error;
    });
  }

  get pages(): ReadonlyMap<string, Page> {
    return new Map<string, Page>([
      ["/livez", async (_request, response) => send(response, await this.#checks(), "alive")],
      ["/readyz", async (_request, response) => send(response, await this.#checks(), "ready")],
    ]);
  }

  async #checks(): Promise<Check[]> {
    if (this.#shutdown.aborted && this.#failure === undefined) {
      return [{ what: "server", detail: "shutting down", keepsAway: true }];
    }
    return [this.#storeCheck(), this.#commits(), await this.#disk(), await eventLoop()];
  }

  #storeCheck(): Check {
    const what = "store";
    if (this.#failure !== undefined) {
      return { what, detail: `failed: ${this.#failure.message}`, keepsAway: true };
    }
    const refused = this.#store.writesRefused();
    return { what, detail: refused === undefined ? "ok" : `writes are refused: ${refused}` };
  }

  #commits(): Check {
    const what = "commits";
    const ageMs = this.#store.oldestCommitMs();
    if (ageMs < slowCommitMs) return { what, detail: "ok" };
    const detail = `the oldest has waited for the disk for ${Math.floor(ageMs / 1_000)} s`;
    return { what, detail, keepsAway: true };
  }

  async #disk(): Promise<Check> {
    const what = "disk";
    if (this.#store.capabilities.engine === "memory") return { what, detail: "not used" };
    try {
      const bytes = await freeBytes(this.#dataFolder);
      return { what, detail: `${Math.floor(bytes / 1024 ** 2)} MiB free` };
    } catch (error) {
      return { what, detail: `the data folder cannot be looked at: ${(error as Error).message}` };
    }
  }
}

/** How late the event loop is at this moment. */
async function eventLoop(): Promise<Check> {
  const startMs = performance.now();
  await sleep(1);
  const delayMs = performance.now() - startMs - 1;
  const detail = delayMs < lateMs ? "ok" : `late by ${Math.floor(delayMs)} ms`;
  return { what: "event loop", detail };
}

function send(
  response: Parameters<Page>[1],
  checks: readonly Check[],
  asked: "alive" | "ready",
): void {
  const isFine = asked === "alive" || checks.every(({ keepsAway = false }) => !keepsAway);
  const lines = [
    isFine ? asked : "not ready",
    ...checks.map(({ what, detail }) => `${what}: ${detail}`),
  ];
  response.writeHead(isFine ? 200 : 503, { "content-type": "text/plain; charset=utf-8" });
  response.end(`${lines.join("\n")}\n`);
}
