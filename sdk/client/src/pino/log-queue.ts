import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { EventInput } from "../event-input.ts";

/** Type of the events that lines become. */
export const logType = "log";
/** Type of the events that stand where lines were dropped; their value is `{ dropped }`. */
export const droppedType = "log_dropped";

/** A line, or lines that are missing. */
export interface Entry {
  readonly type: typeof logType | typeof droppedType;
  readonly value: JsonValue;
  /** Size of the line in UTF-16 units. */
  readonly length: number;
  /** Lines it stands for that are lost if it is. */
  readonly lines: number;
}

const queueLength = 16 * 1024 * 1024;
const batchLength = 1024 * 1024;
/** What is kept of a line that no structure can hold. */
const textLength = 16 * 1024;

/** A line; one that is no JSON is kept as text. */
export function entryOf(line: string): Entry {
  let value: JsonValue = line;
  try {
    value = JSON.parse(line);
  } catch {}
  return { type: logType, value, length: line.length, lines: 1 };
}

export function droppedEntry(lines: number): Entry {
  return { type: droppedType, value: { dropped: lines }, length: 0, lines };
}

/** The same line as text, cut: for one that is refused as it is. */
export function textEntry(entry: Entry): Entry {
  const { value } = entry;
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return { ...entry, value: text.slice(0, textLength) };
}

/** Errors: what of the value cannot be written. */
export function eventOf({ type, value }: Entry): EventInput {
  const wellFormed = typeof value === "string" ? value.toWellFormed() : value;
  return { payload: { case: "custom", value: { type, value: fromJson(ValueSchema, wellFormed) } } };
}

/** Lines that wait, in order. When it is full the newest are dropped and counted in their place. */
export class LogQueue {
  readonly #limitLines: number;
  #entries: Entry[] = [];
  #length = 0;

  constructor({ limitLines }: { limitLines: number }) {
    this.#limitLines = limitLines;
  }

  get size(): number {
    return this.#entries.length;
  }

  /** Lines that wait, and those that are missing among them. */
  get lines(): number {
    return this.#entries.reduce((sum, { lines }) => sum + lines, 0);
  }

  /** False: it was dropped. */
  push(entry: Entry): boolean {
    const last = this.#entries.at(-1);
    if (this.size < this.#limitLines && this.#length + entry.length <= queueLength) {
      this.#entries.push(entry);
      this.#length += entry.length;
      return true;
    }
    // The place of the missing lines is one entry above the limit.
    if (last?.type === droppedType) {
      this.#entries[this.size - 1] = droppedEntry(last.lines + entry.lines);
    } else this.#entries.push(droppedEntry(entry.lines));
    return false;
  }

  /** Takes a batch from the front: at least one entry, if there is one. */
  take(limitEntries: number): Entry[] {
    let length = 0;
    const end = this.#entries.findIndex((entry, index) => {
      length += entry.length;
      return index >= limitEntries || (index > 0 && length > batchLength);
    });
    const batch = this.#entries.splice(0, end === -1 ? this.size : end);
    for (const entry of batch) this.#length -= entry.length;
    return batch;
  }

  /** Lets go of everything. */
  clear(): void {
    this.#entries = [];
    this.#length = 0;
  }
}
