import { readFile, stat } from "node:fs/promises";
import { basename, extname } from "node:path";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { type Format, type Item, isObject } from "./format.ts";
import { elementSlices, memberSlices, type Slice, skipSpace } from "./json-slices.ts";
import { type Line, maxTextBytes, readLines } from "./lines.ts";

/** One session as it stands in a file. */
export interface SessionRecord {
  readonly file: string;
  /** Line it begins on, from 1. */
  readonly line: number;
  /** `run` for the only session of `run.json`, `run-7` for the one on line 7 of `run.jsonl`. */
  readonly name: string;
  readonly items: readonly Item[];
  /** What stands beside the items. */
  readonly document: JsonObject;
}

/** A line that could not be read. */
export interface BadLine {
  readonly file: string;
  readonly line: number;
  readonly problem: string;
}

/** What was read, and how many bytes of the file were read for it. */
export type Read = { readonly endByte: number } & (
  | { readonly record: SessionRecord }
  | { readonly bad: BadLine }
);

/**
 * Reads the sessions of a file.
 *
 * - JSON lines, each a list of items or a document with one: a session for each line.
 * - JSON lines, each an item: one session.
 * - One JSON value over several lines, a list or a document: one session.
 *
 * A line that is wrong is reported and the others are read. Errors: those of the file.
 */
export async function* readRecords(file: string, format: Format): AsyncGenerator<Read> {
  const lines = readLines(file);
  const first = await lines.next();
  if (first.done) return;
  const start = parse(first.value.text);
  if (!start.ok && /^\s*[[{]/.test(first.value.text)) {
    await lines.return(undefined);
    const whole = await readWhole(file, format);
    // A broken first line of many is one bad line, a document over several lines is read whole.
    if (whole !== undefined) {
      yield whole;
      return;
    }
    yield* readEach({ file, format, lines: chain(first.value, readLinesAfter(file, 1)) });
    return;
  }
  if (start.ok && isItem(start.value, format)) {
    yield* readItems({ file, lines: chain(first.value, lines) });
    return;
  }
  yield* readEach({ file, format, lines: chain(first.value, lines) });
}

/** A session for each line. */
async function* readEach(args: {
  file: string;
  format: Format;
  lines: AsyncGenerator<Line>;
}): AsyncGenerator<Read> {
  const { file, format, lines } = args;
  let next = await lines.next();
  let isOnly = true;
  while (!next.done) {
    const line = next.value;
    next = await lines.next();
    isOnly &&= next.done === true;
    const { number, text, endByte } = line;
    const name = isOnly ? stem(file) : `${stem(file)}-${number}`;
    yield { endByte, ...recordOf({ file, format, name, text, line: number }) };
  }
}

/** One session of which each line is an item. */
async function* readItems(args: {
  file: string;
  lines: AsyncGenerator<Line>;
}): AsyncGenerator<Read> {
  const { file, lines } = args;
  const items: Item[] = [];
  let line = 0;
  let endByte = 0;
  for await (const { number, text, endByte: end } of lines) {
    const parsed = parse(text);
    if (!parsed.ok) {
      // The session would have a hole: none of it is imported.
      yield { endByte: end, bad: { file, line: number, problem: parsed.problem } };
      return;
    }
    line ||= number;
    endByte = end;
    items.push({ value: parsed.value, json: text.trim(), line: number });
  }
  yield { endByte, record: { file, line, name: stem(file), items, document: {} } };
}

async function readWhole(file: string, format: Format): Promise<Read | undefined> {
  const { size: endByte } = await stat(file);
  if (endByte > maxTextBytes) {
    throw new RangeError(`it is longer than ${maxTextBytes} bytes and not in lines`);
  }
  const text = await readFile(file, "utf8");
  const parsed = parse(text);
  // Several values are lines; of one value the parser says where it is wrong.
  if (!parsed.ok && /after JSON/.test(parsed.problem)) return undefined;
  const read = recordOf({ file, format, name: stem(file), text, line: 1 });
  return { endByte, ...read };
}

function recordOf(args: {
  file: string;
  format: Format;
  name: string;
  text: string;
  line: number;
}): { record: SessionRecord } | { bad: BadLine } {
  const { file, format, name, text, line } = args;
  const parsed = parse(text);
  if (!parsed.ok) {
    return { bad: { file, line: line + parsed.linesBefore, problem: parsed.problem } };
  }
  const start = skipSpace(text, 0);
  const { value } = parsed;
  const toItem = ({ start, end }: Slice): Item => {
    const json = text.slice(start, end);
    return { value: JSON.parse(json), json, line: line + linesIn(text, start) };
  };
  if (Array.isArray(value)) {
    const items = elementSlices(text, start).map(toItem);
    return { record: { file, line, name, items, document: {} } };
  }
  const lists = isObject(value) ? format.lists.filter((list) => Object.hasOwn(value, list)) : [];
  if (!isObject(value) || lists.length === 0) {
    const problem = `it must be a list of messages, or an object with "${format.lists.join('" or "')}"`;
    return { bad: { file, line, problem } };
  }
  const members = memberSlices(text, start);
  const items = lists.flatMap((list) => {
    const slice = members.get(list);
    if (slice === undefined) return [];
    return text[slice.start] === "[" ? elementSlices(text, slice.start).map(toItem) : toItem(slice);
  });
  return { record: { file, line, name, items, document: value } };
}

function isItem(value: JsonValue, { lists }: Format): boolean {
  return isObject(value) && !lists.some((list) => Object.hasOwn(value, list)) && !isEmpty(value);
}

function isEmpty(value: JsonObject): boolean {
  return !("role" in value || "type" in value);
}

type Parsed =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly problem: string; readonly linesBefore: number };

function parse(text: string): Parsed {
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (error) {
    const message = (error as Error).message;
    const line = /\(line (\d+) column/.exec(message)?.[1] ?? "1";
    // The parser quotes what it read, which may be long and is the reader's own.
    const problem = `it is no JSON: ${message.replace(/, ".*" is not valid JSON/s, "")}`;
    return { ok: false, problem, linesBefore: Number(line) - 1 };
  }
}

function linesIn(text: string, end: number): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < end; at = text.indexOf("\n", at + 1)) {
    lines += 1;
  }
  return lines;
}

async function* chain(first: Line, rest: AsyncGenerator<Line>): AsyncGenerator<Line> {
  yield first;
  yield* rest;
}

async function* readLinesAfter(file: string, number: number): AsyncGenerator<Line> {
  for await (const line of readLines(file)) if (line.number > number) yield line;
}

/** Name of a file without folder and ending. */
export function stem(file: string): string {
  return basename(file, extname(file));
}
