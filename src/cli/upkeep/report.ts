import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  type StoreFinding,
  StoreFindingCode,
  StoreFindingSchema,
  type StoreProgress,
  type VerifySummary,
} from "@sessiond/contract";
import type { Host } from "../host.ts";
import { jsonWriter, outputFormat } from "../output-format.ts";
import { progressBar } from "../progress-bar.ts";
import { paintFor } from "../text/colours.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";

/** What a long operation on a store says. */
export type Message<Summary> =
  | { readonly case: "progress"; readonly value: StoreProgress }
  | { readonly case: "finding"; readonly value: StoreFinding }
  | { readonly case: "summary"; readonly value: Summary }
  | { readonly case: undefined; readonly value?: undefined };

/** The messages of a server's responses. Fails with the errors of the SDK. */
export async function* messagesOf<Message>(
  responses: AsyncIterable<{ readonly message: Message }>,
): AsyncGenerator<Message> {
  try {
    for await (const { message } of responses) yield message;
  } catch (error) {
    const { fromConnectError } = await import("@sessiond/client");
    throw fromConnectError(error);
  }
}

/**
 * Shows what a long operation says: a progress bar on stderr, findings and summary on stdout. Returns
 * the summary; undefined when it ended without.
 */
export async function reportMessages<Summary>(args: {
  host: Host;
  output: string | undefined;
  messages: AsyncIterable<Message<Summary>>;
  toJson: (summary: Summary) => JsonValue;
  toText: (summary: Summary) => string;
}): Promise<Summary | undefined> {
  const { host, output, messages } = args;
  const { stdout } = host;
  const format = outputFormat(output, "text", stdout);
  const writer = format === "text" ? undefined : jsonWriter(stdout, format);
  const bar = progressBar(host.stderr);
  let summary: Summary | undefined;
  try {
    for await (const { case: kind, value } of messages) {
      if (kind === "progress") bar.update(value.share, progressText(value));
      if (kind === "finding") {
        bar.clear();
        if (writer === undefined) stdout.write(findingText(host, value));
        else await writer.write({ finding: toJson(StoreFindingSchema, value) });
        await stdout.drained();
      }
      if (kind === "summary") summary = value;
    }
  } finally {
    bar.clear();
  }
  if (summary !== undefined) {
    if (writer === undefined) stdout.write(`${args.toText(summary)}\n`);
    else await writer.write({ summary: args.toJson(summary) });
  }
  writer?.end();
  return summary;
}

/** A finding on two lines: what it is, and what to do. */
export function findingText(host: Host, finding: StoreFinding): string {
  const { code, namespace, sessionId, sessionUid, found, fix } = finding;
  const paint = paintFor(host.stdout);
  const name = sessionId === "" ? sessionUid : `${namespace}/${sessionId}`;
  const where = [name, name === "" ? namespace : ""].filter((text) => text !== "").join("");
  const head = paint("red", `✗ ${StoreFindingCode[code] ?? code}`);
  const subject = where === "" ? "" : ` ${paint("cyan", safe(where))}`;
  return `${head}${subject}: ${safe(found)}\n  ${paint("bold", "fix:")} ${safe(fix)}\n`;
}

/** `nothing is wrong`, or how much is, and what was looked at. */
export function verifyText({ findings, ...summary }: VerifySummary): string {
  const { records, sessions, events, namespaces, duration, findingsLeftOut, notChecked } = summary;
  const seconds = ((duration ? durationMs(duration) : 0) / 1_000).toFixed(1);
  const number = (value: bigint) => numberText(Number(value));
  const result = findings === 0 ? "nothing is wrong" : `${numberText(findings)} findings`;
  const leftOut = findingsLeftOut === 0 ? "" : ` (${numberText(findingsLeftOut)} not shown)`;
  const looked = `${number(records)} records: ${number(sessions)} sessions, ${number(events)} events, ${number(namespaces)} namespaces`;
  const not = notChecked.map((what) => `\nnot looked at: ${what}`).join("");
  return `${result}${leftOut} in ${looked} (${seconds} s)${not}`;
}

function progressText({ phase, records, bytes }: StoreProgress): string {
  return phase === "copy"
    ? `copy, ${bytesText(bytes)}`
    : `${phase}, ${numberText(Number(records))} records`;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** Bytes as people read them: `12.3 MiB`. */
export function bytesText(bytes: bigint | number): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
