import { open, readFile, stat } from "node:fs/promises";
import { anthropic } from "./anthropic.ts";
import type { Format } from "./format.ts";
import { json } from "./json.ts";
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
  json,
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

/** How the beginnings of files tell what is in them; the first that fits counts. */
const beginnings: readonly (readonly [RegExp, FormatName])[] = [
  [/^\s*\{\s*"conversation_id"/, "json"],
  [/^\s*\{[^[]*"(?:instructions|input|output)"\s*:/, "openai-responses"],
  [/"type"\s*:\s*"(?:function_call|function_call_output|reasoning)"/, "openai-responses"],
  [/"type"\s*:\s*"(?:tool_use|tool_result|thinking)"|^\s*\{[^[]*"system"\s*:/, "anthropic"],
  [/"role"\s*:/, "openai-chat"],
  [/^\s*(?:user|human|assistant|agent|ai|system|tool):/i, "transcript"],
];
const beginningBytes = 64 * 1_024;

/** What the beginning of a file says it holds; undefined: nothing that is known. */
export async function recognisedFormat(file: string): Promise<FormatName | undefined> {
  await using handle = await open(file);
  const { buffer, bytesRead } = await handle.read(Buffer.alloc(beginningBytes));
  const text = buffer.subarray(0, bytesRead).toString("utf8");
  return beginnings.find(([pattern]) => pattern.test(text))?.[1];
}

async function* readTranscript(file: string): AsyncGenerator<Read> {
  const { size: endByte } = await stat(file);
  if (endByte > maxTextBytes) throw new RangeError(`it is longer than ${maxTextBytes} bytes`);
  const text = await readFile(file, "utf8");
  const items = [{ value: text, json: "", line: 1 }];
  yield { endByte, record: { file, line: 1, name: stem(file), items, document: {} } };
}
