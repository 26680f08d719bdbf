import { mkdir, open } from "node:fs/promises";
import { dirname } from "node:path";
import { lineOf } from "./lines.ts";
import type { SinkBatch } from "./sink.ts";

/**
 * A file of JSON lines with what a sink's receiver will never take, one message each, as sinks write them,
 * behind when and why: `{"time":"…","reason":"…","namespace":…}`. It is made at the first, readable for its owner only.
 */
export class DeadLetters {
  /** Absolute. */
  readonly path: string;

  constructor({ path }: { readonly path: string }) {
    this.path = path;
  }

  /** Adds a batch; on disk when it resolves. Errors: those of the file system. */
  async add(batch: SinkBatch, { reason, time }: { reason: string; time: Date }): Promise<void> {
    const head = JSON.stringify({ time: time.toISOString(), reason }).slice(0, -1);
    const lines = batch.messages.map(
      (message) => `${head},${lineOf(batch.namespace, message).slice(1)}\n`,
    );
    await mkdir(dirname(this.path), { recursive: true });
    await using file = await open(this.path, "a", 0o600);
    await file.appendFile(lines.join(""));
    await file.sync();
  }
}
