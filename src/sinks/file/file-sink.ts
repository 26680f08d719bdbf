import type { FileHandle } from "node:fs/promises";
import { mkdir, open, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { linesOf } from "../lines.ts";
import { DeliveryError, type Sink, type SinkBatch } from "../sink.ts";
import { endOfOwnLines, ForeignFileError } from "./own-lines.ts";
import { rotate } from "./rotation.ts";

export interface FileSinkOptions {
  /** Absolute. Its folder is made if need be. */
  readonly path: string;
  /** A file that would be larger gives way to a new one, unless one batch alone is. */
  readonly maxBytes: number;
  /** So does one that was begun longer ago. Absent: no matter how long. */
  readonly maxAgeMs?: number | undefined;
  /** Files kept beside the one that is written. */
  readonly keep: number;
  readonly now: () => number;
}

/** The file that is written. */
interface Current {
  readonly handle: FileHandle;
  bytes: number;
  readonly beginMs: number;
}

/**
 * Appends events to a file, a line of JSON each. A batch is on disk when it counts as delivered.
 *
 * A file that has become too large or too old is renamed, by the time, and a new one begun. What a kill left
 * of a line is cut off at the next start, and what an error left of a batch at once, so the file has whole
 * lines only.
 *
 * A file that was removed or renamed meanwhile is begun anew, and what went into it at that moment is written
 * again: nobody may ever see it there.
 */
export class FileSink implements Sink {
  readonly #options: FileSinkOptions;
  #current: Current | undefined;
  /** Deliveries and SIGHUP one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: FileSinkOptions) {
    this.#options = options;
  }

  /**
   * Opens the file. Errors: ForeignFileError when somebody else wrote it, which leaves it as it is;
   * DeliveryError when it cannot be written.
   */
  open(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#open();
    });
  }

  /** Errors: DeliveryError; the batch is not in the file then. */
  deliver(batch: SinkBatch): Promise<void> {
    const bytes = Buffer.from(linesOf(batch));
    return this.#inTurn(() => this.#append(bytes));
  }

  /** Opens the path anew: who has renamed the file gets it whole, and a new one is there. */
  reopen(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#letGo();
      await this.#open();
    });
  }

  async close(): Promise<void> {
    await this.#inTurn(() => this.#letGo());
  }

  async #append(bytes: Buffer): Promise<void> {
    const written = await this.#write(bytes);
    if (await this.#isInPlace(written)) return;
    await this.#letGo();
    if (await this.#isInPlace(await this.#write(bytes))) return;
    throw new Error("it is removed again and again");
  }

  async #write(bytes: Buffer): Promise<Current> {
    let current = this.#current;
    if (current !== undefined && !(await this.#isInPlace(current))) {
      await this.#letGo();
      current = undefined;
    }
    current ??= await this.#open();
    if (this.#isDone(current, bytes.length)) {
      await this.#letGo();
      await rotate({ ...this.#options, timeMs: this.#options.now() });
      current = await this.#open();
    }
    const { handle, bytes: before } = current;
    try {
      await handle.appendFile(bytes);
      await handle.datasync();
      current.bytes = before + bytes.length;
      return current;
    } catch (error) {
      // Nobody else writes it, so what is behind is a part of this batch. Should that fail, too, the next
      // opening cuts at least the last line.
      await handle.truncate(before).catch(() => {});
      await this.#letGo();
      throw error;
    }
  }

  /** The path still leads to it. */
  async #isInPlace({ handle }: Current): Promise<boolean> {
    const [own, found] = await Promise.all([
      handle.stat(),
      stat(this.#options.path).catch(() => undefined),
    ]);
    return found !== undefined && found.ino === own.ino && found.dev === own.dev;
  }

  #isDone({ bytes, beginMs }: Current, more: number): boolean {
    const { maxBytes, maxAgeMs = Number.POSITIVE_INFINITY, now } = this.#options;
    return bytes > 0 && (bytes + more > maxBytes || now() - beginMs >= maxAgeMs);
  }

  async #open(): Promise<Current> {
    const { path, now } = this.#options;
    await mkdir(dirname(path), { recursive: true });
    const handle = await open(path, "a+", 0o640);
    try {
      const { size, birthtimeMs } = await handle.stat();
      const bytes = await endOfOwnLines(handle, { path, size });
      if (bytes < size) await handle.truncate(bytes);
      // Not every file system knows when a file was made.
      const beginMs = size > 0 && birthtimeMs > 0 ? birthtimeMs : now();
      this.#current = { handle, bytes, beginMs };
      return this.#current;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async #letGo(): Promise<void> {
    const { handle } = this.#current ?? {};
    this.#current = undefined;
    await handle?.close();
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#last.then(work);
    this.#last = turn.catch(() => {});
    try {
      await turn;
    } catch (cause) {
      if (cause instanceof ForeignFileError) throw cause;
      const { path } = this.#options;
      const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      throw new DeliveryError(`${path} cannot be written (${code})`, { cause });
    }
  }
}
