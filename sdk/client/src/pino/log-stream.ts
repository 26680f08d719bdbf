import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { levelNumber } from "./log-options.ts";
import { droppedEntry, type Entry, entryOf } from "./log-queue.ts";
import type { LogSender } from "./log-sender.ts";

/** A longer line is dropped, so that one without an end does not fill the memory. */
const lineLength = 1024 * 1024;

/** Takes lines of JSON, in pieces of any size, and hands them to the sender. */
export class LogStream extends Writable {
  readonly #sender: LogSender;
  readonly #level: number;
  readonly #decoder = new StringDecoder("utf8");
  #rest = "";
  /** The line that has begun is too long. */
  #isTooLong = false;

  constructor({ sender, level }: { sender: LogSender; level: number }) {
    super({ decodeStrings: true });
    this.#sender = sender;
    this.#level = level;
  }

  /** Resolves when all lines so far are stored or were given up. pino's `flush` calls it. */
  flush(): Promise<void> {
    return this.#sender.flush();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#read(this.#decoder.write(chunk));
    done();
  }

  override _final(done: () => void): void {
    this.#read(`${this.#decoder.end()}\n`);
    this.#sender.close().then(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#sender.close({ atOnce: true }).then(() => done(error));
  }

  #read(text: string): void {
    const [first = "", ...others] = text.split("\n");
    const last = others.pop();
    const begun = this.#rest + first;
    this.#isTooLong ||= begun.length > lineLength;
    if (last === undefined) {
      this.#rest = this.#isTooLong ? "" : begun;
      return;
    }
    if (this.#isTooLong) this.#sender.push(droppedEntry(1));
    for (const line of this.#isTooLong ? others : [begun, ...others]) this.#take(line);
    this.#isTooLong = last.length > lineLength;
    this.#rest = this.#isTooLong ? "" : last;
  }

  #take(line: string): void {
    if (line.trim() === "") return;
    const entry = entryOf(line);
    if (levelOf(entry) >= this.#level) this.#sender.push(entry);
  }
}

/** A line without a level that is known is never below one. */
function levelOf({ value }: Entry): number {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return Number.POSITIVE_INFINITY;
  const { level } = value;
  return levelNumber(level) ?? Number.POSITIVE_INFINITY;
}
