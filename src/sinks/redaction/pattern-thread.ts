import { Worker } from "node:worker_threads";
import type { Text } from "./patterns.ts";

/** What the thread is asked, and what it answers. */
export interface PatternRequest {
  readonly id: number;
  readonly texts: readonly Text[];
}
export interface PatternReply {
  readonly id: number;
  readonly texts: readonly string[];
}

interface Waiting {
  resolve(texts: readonly string[]): void;
  reject(error: unknown): void;
}

/**
 * Looks for patterns in a thread of its own, which starts at the first text and does not keep the process
 * alive: however long a text takes, it holds up nobody but the sink it is for.
 */
export class PatternThread {
  readonly #patterns: readonly string[];
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #nextId = 0;

  constructor({ patterns }: { readonly patterns: readonly string[] }) {
    this.#patterns = patterns;
  }

  /** The texts without what the patterns find. Errors: the thread died; a later call starts another. */
  redact(texts: readonly Text[]): Promise<readonly string[]> {
    this.#worker ??= this.#start();
    const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
    const id = this.#nextId++;
    this.#waiting.set(id, { resolve, reject });
    const request: PatternRequest = {
      id,
      texts: texts.map(({ text, isJson }) => ({ text, isJson })),
    };
    this.#worker.postMessage(request);
    return promise;
  }

  /** Ends the thread; what is under way fails. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#died(new Error("the thread that looks for patterns was ended"));
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = startWorker(this.#patterns);
    worker.unref();
    worker.on("message", ({ id, texts }: PatternReply) => {
      this.#waiting.get(id)?.resolve(texts);
      this.#waiting.delete(id);
    });
    const died = (error: unknown) => {
      if (this.#worker === worker) this.#died(error);
    };
    worker.on("error", died);
    worker.on("exit", () => died(new Error("the thread that looks for patterns has ended")));
    return worker;
  }

  #died(error: unknown): void {
    this.#worker = undefined;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}

/** The worker has the suffix of this file: .ts as source, .js as built. */
function startWorker(patterns: readonly string[]): Worker {
  const suffix = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  return new Worker(new URL(`./pattern-worker${suffix}`, import.meta.url), {
    name: "patterns",
    workerData: { patterns },
  });
}
