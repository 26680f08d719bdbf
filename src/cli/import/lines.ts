import { createReadStream } from "node:fs";

/** Longest line that is read, and largest document that is not in lines. */
export const maxTextBytes = 256 * 1024 * 1024;

const newline = 0x0a;

/** A line of a file; `number` counts from 1, `endByte` is how much of the file was read for it. */
export interface Line {
  readonly number: number;
  readonly text: string;
  readonly endByte: number;
}

/**
 * Reads the lines of a file that are not blank. Only a line feed ends one: JSON texts may hold the
 * other separators of Unicode.
 *
 * Errors: those of the file; RangeError for a line that is too long; TypeError for what is no UTF-8.
 */
export async function* readLines(file: string): AsyncGenerator<Line> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  let number = 0;
  let endByte = 0;
  const take = (end: Buffer): Line | undefined => {
    const text = decoder.decode(Buffer.concat([...pending, end]));
    pending = [];
    pendingBytes = 0;
    number += 1;
    return text.trim() === "" ? undefined : { number, text, endByte };
  };
  for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) {
    let rest = chunk as Buffer;
    for (let at = rest.indexOf(newline); at !== -1; at = rest.indexOf(newline)) {
      endByte += at + 1;
      const line = take(rest.subarray(0, at));
      rest = rest.subarray(at + 1);
      if (line !== undefined) yield line;
    }
    endByte += rest.length;
    pending.push(rest);
    pendingBytes += rest.length;
    if (pendingBytes > maxTextBytes) {
      throw new RangeError(`line ${number + 1} is longer than ${maxTextBytes} bytes`);
    }
  }
  const line = take(Buffer.alloc(0));
  if (line !== undefined) yield line;
}
