import { Worker } from "node:worker_threads";
import type { Reply, Request } from "./protocol.ts";

/** A worker that died is not started again sooner than this, so that one that cannot run costs little. */
const restartDelayMs = 1_000;
/** Its garbage is texts that were counted. Left to itself the engine lets them become 192 MB. */
const maxYoungGenerationSizeMb = 8;

interface TokenThreadOptions {
  readonly onReply: (reply: Reply) => void;
  /** The worker died, and what it was given is lost. */
  readonly onDeath: (err: unknown) => void;
  /** Starts the worker. Default: the file beside this one, as source or as built. */
  readonly startWorker?: (() => Worker) | undefined;
  /** Milliseconds of a clock that never goes back. */
  readonly nowMs?: (() => number) | undefined;
}

/**
 * Runs the worker that holds the tokenizers: starts it at the first message, and again after it
 * died. It does not keep the process alive.
 */
export class TokenThread {
  readonly #onReply: (reply: Reply) => void;
  readonly #onDeath: (err: unknown) => void;
  readonly #startWorker: () => Worker;
  readonly #nowMs: () => number;
  #worker: Worker | undefined;
  #notBeforeMs = Number.NEGATIVE_INFINITY;

  constructor(options: TokenThreadOptions) {
    this.#onReply = options.onReply;
    this.#onDeath = options.onDeath;
    this.#startWorker = options.startWorker ?? startWorker;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Sends a message. False: no worker can run now, and it is not sent. */
  send(request: Request): boolean {
    const worker = this.#running();
    worker?.postMessage(request);
    return worker !== undefined;
  }

  /** Ends the worker, without `onDeath`. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #running(): Worker | undefined {
    if (this.#worker !== undefined) return this.#worker;
    if (this.#nowMs() < this.#notBeforeMs) return undefined;
    const worker = this.#startWorker();
    let cause: unknown;
    worker.on("message", this.#onReply);
    worker.on("error", (error) => {
      cause = error;
    });
    worker.on("exit", (code) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#notBeforeMs = this.#nowMs() + restartDelayMs;
      this.#onDeath(cause ?? new Error(`exit code ${code}`));
    });
    worker.unref();
    this.#worker = worker;
    return worker;
  }
}

function startWorker(): Worker {
  // The worker has the suffix of this file: .ts as source, .js as built.
  const suffix = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  return new Worker(new URL(`./worker${suffix}`, import.meta.url), {
    name: "tokens",
    resourceLimits: { maxYoungGenerationSizeMb },
  });
}
