import { readFile, stat } from "node:fs/promises";
import { anthropic } from "./anthropic.ts";
import type { Format } from "./format.ts";
import { maxTextBytes } from "./lines.ts";
import { openaiChat } from "./openai-chat.ts";
import { openaiResponses } from "./openai-responses.ts";
import { type Read, readRecords, stem } from "./records.ts";
import { transcriptEvents } from "./transcript.ts";

/** A transcript is one session, and one item: its text. */
const transcript: Format = {
  lists: [],
  toEvents: (items) => items.flatMap(({ value }) => transcriptEvents(String(value))),
};

const formats = {
  "openai-chat": openaiChat,
  "openai-responses": openaiResponses,
  anthropic,
  transcript,
} as const satisfies Record<string, Format>;

export type FormatName = keyof typeof formats;

export const formatNames = Object.keys(formats) as FormatName[];

/** A form of conversations, and how files in it are read. */
export interface FileFormat {
  readonly format: Format;
  readonly read: (file: string) => AsyncGenerator<Read>;
}

export function fileFormat(name: FormatName): FileFormat {
  const format = formats[name];
  if (name === "transcript") return { format, read: readTranscript };
  return { format, read: (file) => readRecords(file, format) };
}

async function* readTranscript(file: string): AsyncGenerator<Read> {
  const { size: endByte } = await stat(file);
  if (endByte > maxTextBytes) throw new RangeError(`it is longer than ${maxTextBytes} bytes`);
  const text = await readFile(file, "utf8");
  const items = [{ value: text, json: "", line: 1 }];
  yield { endByte, record: { file, line: 1, name: stem(file), items, document: {} } };
}
