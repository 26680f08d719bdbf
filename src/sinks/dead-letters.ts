import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { limits } from "../limits.ts";
import { rotate } from "./file/rotation.ts";
import { lineOf } from "./lines.ts";
import type { SinkBatch } from "./sink.ts";

export interface DeadLettersOptions {
  /** Absolute. */
  readonly path: string;
  /** As of a file sink. Default from `limits.ts`. */
  readonly maxBytes?: number;
  /** Files kept beside the one that is written. Default from `limits.ts`. */
  readonly keep?: number;
}

/**
 * A file of JSON lines with what a sink's receiver will never take, one message each, as sinks write them,
 * behind when and why: `{"time":"…","reason":"…","namespace":…}`. It is made at the first, readable for its
 * owner only.
 *
 * One that would be too large is renamed, by the time, as a file sink's is. Of the renamed the newest are
 * kept: a receiver that refuses everything must not fill the disk that the store is on.
 */
export class DeadLetters {
  readonly path: string;
  readonly #maxBytes: number;
  readonly #keep: number;

  constructor(options: DeadLettersOptions) {
    const { path, maxBytes = limits.deadLetterBytes, keep = limits.deadLetterFiles } = options;
    this.path = path;
    this.#maxBytes = maxBytes;
    this.#keep = keep;
  }

  /** Adds a batch; on disk when it resolves. Errors: those of the file system; nothing is added then. */
  async add(batch: SinkBatch, { reason, time }: { reason: string; time: Date }): Promise<void> {
    const head = JSON.stringify({ time: time.toISOString(), reason }).slice(0, -1);
    const lines = batch.messages.map(
      (message) => `${head},${lineOf(batch.namespace, message).slice(1)}\n`,
    );
    const bytes = Buffer.from(lines.join(""));
    await mkdir(dirname(this.path), { recursive: true });
    if (await this.#isFullWith(bytes.length)) {
      await rotate({ path: this.path, keep: this.#keep, timeMs: time.getTime() });
    }
    await using file = await this.#open();
    const { size } = await file.stat();
    try {
      await file.appendFile(bytes);
      await file.sync();
    } catch (error) {
      // It comes again, and must not stand behind a part of itself.
      await file.truncate(size).catch(() => {});
      throw error;
    }
  }

  async #isFullWith(more: number): Promise<boolean> {
    await using file = await this.#open();
    const { size } = await file.stat();
    return size > 0 && size + more > this.#maxBytes;
  }

  #open() {
    return open(this.path, "a", 0o600);
  }
}
