import { Worker } from "node:worker_threads";
import type { TokenCount } from "@sessiond/contract";
import { ShuttingDownError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import type { TokenCounter } from "./counter.ts";
import { toEncoding, tokenCount } from "./encodings.ts";
import { estimateTokens } from "./estimate.ts";
import { type CountReply, type CountRequest, type Encoding, encodings } from "./protocol.ts";

/** A worker that died is not started again sooner than this, so that one that cannot run costs little. */
const restartDelayMs = 1_000;

/** A text the worker has been given, or will be at the end of this turn of the event loop. */
interface Pending {
  readonly text: string;
  readonly encoding: Encoding;
  readonly resolve: (count: TokenCount) => void;
}

interface WorkerCounterOptions {
  /** Is told when the worker dies. */
  readonly log: { warn(fields: { err: unknown }, message: string): void };
  /** Starts the worker. Default: the file beside this one, as source or as built. */
  readonly startWorker?: () => Worker;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs?: () => number;
}

/**
 * Counts tokens in a worker thread, which starts at the first count or preload.
 *
 * The texts of one turn of the event loop travel in one message; short ones overtake long ones.
 * Counts always come: when more than `limits.tokenQueueLength` UTF-16 units wait, and when the
 * worker dies, they are estimated (see `estimate.ts`) and marked so. The worker does not keep the
 * process alive.
 */
export class WorkerTokenCounter implements TokenCounter {
  readonly #log: WorkerCounterOptions["log"];
  readonly #startWorker: () => Worker;
  readonly #nowMs: () => number;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #nextId = 0;
  #waitingLength = 0;
  /** What is sent at the end of this turn; the first has the id `#nextId` - its length. */
  #batch: Pending[] = [];
  #closed = false;

  constructor(options: WorkerCounterOptions) {
    this.#log = options.log;
    this.#startWorker = options.startWorker ?? startWorker;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Errors: NotSupportedError for an unknown encoding, ShuttingDownError after `close`. */
  async count(texts: readonly string[], encoding: string): Promise<TokenCount[]> {
    const known = toEncoding(encoding);
    if (this.#closed) throw new ShuttingDownError();
    return Promise.all(texts.map((text) => this.#countOne(text, known)));
  }

  async preload(encoding: string): Promise<void> {
    await this.count(["a"], encoding);
  }

  /** Ends the worker. Counts under way are estimated. */
  async close(): Promise<void> {
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = undefined;
    this.#estimatePending();
    await worker?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #countOne(text: string, encoding: Encoding): TokenCount | Promise<TokenCount> {
    if (text === "") return tokenCount({ count: 0, encoding, estimated: false });
    if (this.#waitingLength + text.length > limits.tokenQueueLength)
      return estimate(text, encoding);
    return new Promise((resolve) => {
      if (this.#batch.length === 0) setImmediate(() => this.#send());
      const pending = { text, encoding, resolve };
      this.#batch.push(pending);
      this.#pending.set(this.#nextId, pending);
      this.#nextId = (this.#nextId + 1) >>> 0;
      this.#waitingLength += text.length;
    });
  }

  #send(): void {
    const batch = this.#batch;
    this.#batch = [];
    // Empty when the worker died or the counter was closed since: all were estimated then.
    if (batch.length === 0) return;
    const worker = this.#running();
    if (worker === undefined) {
      this.#estimatePending();
      return;
    }
    worker.postMessage({
      firstId: (this.#nextId - batch.length) >>> 0,
      texts: batch.map((pending) => pending.text),
      encodings: Uint8Array.from(batch, (pending) => encodings.indexOf(pending.encoding)),
    } satisfies CountRequest);
  }

  #running(): Worker | undefined {
    if (this.#worker !== undefined) return this.#worker;
    if (this.#nowMs() < this.#notBeforeMs) return undefined;
    const worker = this.#startWorker();
    let cause: unknown;
    worker.on("message", (reply: CountReply) => this.#receive(reply));
    worker.on("error", (error) => {
      cause = error;
    });
    worker.on("exit", (code) => this.#onExit(worker, cause ?? new Error(`exit code ${code}`)));
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #receive({ ids, counts, estimated }: CountReply): void {
    for (const [index, id] of ids.entries()) {
      const pending = this.#pending.get(id);
      // Unknown ids are answers to texts that were estimated meanwhile.
      if (pending === undefined) continue;
      this.#pending.delete(id);
      this.#waitingLength -= pending.text.length;
      pending.resolve(
        tokenCount({
          count: counts[index] ?? 0,
          encoding: pending.encoding,
          estimated: estimated[index] === 1,
        }),
      );
    }
  }

  #onExit(worker: Worker, err: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#notBeforeMs = this.#nowMs() + restartDelayMs;
    this.#log.warn({ err }, `token worker died; ${this.#pending.size} counts are estimated`);
    this.#estimatePending();
  }

  #estimatePending(): void {
    const all = [...this.#pending.values()];
    this.#pending.clear();
    this.#batch = [];
    this.#waitingLength = 0;
    for (const { text, encoding, resolve } of all) resolve(estimate(text, encoding));
  }
}

function estimate(text: string, encoding: Encoding): TokenCount {
  return tokenCount({ count: estimateTokens(text), encoding, estimated: true });
}

function startWorker(): Worker {
  // The worker has the suffix of this file: .ts as source, .js as built.
  const suffix = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  return new Worker(new URL(`./worker${suffix}`, import.meta.url), { name: "tokens" });
}
