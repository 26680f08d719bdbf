import {
  type DescMessage,
  fromJson,
  type JsonValue,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import {
  type BundleFooter,
  BundleFooterSchema,
  type Event,
  EventSchema,
  type ExportSessionResponse,
  type Session,
  SessionSchema,
} from "@sessiond/contract";
import { BundleError } from "./bundle-error.ts";
import { jsonText } from "./json-text.ts";

/*
 * A bundle is JSON lines: a manifest, then of each session the session, its events and its end, then
 * a summary. Sessions, events and ends are messages of the contract in their JSON form.
 *
 *   {"format":"sessiond-bundle","version":1,"exported_at":"2026-11-28T08:00:00.000Z","namespace":"default"}
 *   {"session":{…}}
 *   {"event":{…}}
 *   {"end":{"events":1,"metrics":{…},"measures":{…},"sha256":"…"}}
 *   {"summary":{"sessions":1,"events":1,"sha256":"…"}}
 *
 * `sha256` of the summary is that of the lines `<sha256 of the session> <name as JSON>\n`.
 */

export const bundleFormat = "sessiond-bundle";
/** Version of the layout. A reader takes its own and older ones. */
export const bundleVersion = 1;

/** What a bundle begins with. */
export interface BundleManifest {
  readonly version: number;
  /** Absent: it was left out, so that bundles of the same sessions are the same. */
  readonly exportedAt?: string;
  /** Namespace that the sessions were exported from. */
  readonly namespace: string;
}

/** What a bundle ends with. */
export interface BundleSummary {
  readonly sessions: number;
  readonly events: number;
  readonly sha256: string;
}

/** A line of a bundle, by what it carries. */
export type BundleLine =
  | { readonly kind: "manifest"; readonly value: BundleManifest }
  | { readonly kind: "session"; readonly value: Session }
  | { readonly kind: "event"; readonly value: Event }
  | { readonly kind: "end"; readonly value: BundleFooter }
  | { readonly kind: "summary"; readonly value: BundleSummary };

export function manifestLine({ version, exportedAt, namespace }: BundleManifest): string {
  const time = exportedAt === undefined ? {} : { exported_at: exportedAt };
  return JSON.stringify({ format: bundleFormat, version, ...time, namespace });
}

export function summaryLine({ sessions, events, sha256 }: BundleSummary): string {
  return JSON.stringify({ summary: { sessions, events, sha256 } });
}

/** The lines of what ExportSession sends. */
export function partLines({ part }: ExportSessionResponse): string[] {
  switch (part.case) {
    case "header":
      return part.value.session === undefined
        ? []
        : [line("session", SessionSchema, part.value.session)];
    case "events":
      return part.value.events.map((event) => line("event", EventSchema, event));
    case "footer":
      return [line("end", BundleFooterSchema, part.value)];
    default:
      return [];
  }
}

function line<Desc extends DescMessage>(
  kind: string,
  schema: Desc,
  message: MessageShape<Desc>,
): string {
  return `{"${kind}":${jsonText(toJson(schema, message))}}`;
}

/** Reads a line. Errors: BundleError. */
export function parseBundleLine(text: string, number: number): BundleLine {
  const value = objectOf(text, number);
  const [key = "", ...more] = Object.keys(value);
  const content = value[key] as JsonValue;
  if (key === "format" || "format" in value)
    return { kind: "manifest", value: manifestOf(value, number) };
  if (more.length > 0) {
    throw new BundleError(
      number,
      `it has "${shown(more[0])}" beside "${shown(key)}"; one is expected`,
    );
  }
  switch (key) {
    case "session":
      return { kind: key, value: messageOf(SessionSchema, content, number) };
    case "event":
      return { kind: key, value: messageOf(EventSchema, content, number) };
    case "end":
      return { kind: key, value: messageOf(BundleFooterSchema, content, number) };
    case "summary":
      return { kind: key, value: summaryOf(content, number) };
    default:
      throw new BundleError(number, `it holds "${shown(key)}", which is no part of a bundle`);
  }
}

function objectOf(text: string, number: number): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BundleError(number, "it is no JSON; the file was cut off or changed");
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new BundleError(number, "it is no JSON object");
}

function messageOf<Desc extends DescMessage>(
  schema: Desc,
  value: JsonValue,
  number: number,
): MessageShape<Desc> {
  try {
    return fromJson(schema, value);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    const newer = /is unknown/.test(what) ? "; it may be from a newer version" : "";
    throw new BundleError(number, `${what.slice(0, 300)}${newer}`);
  }
}

function manifestOf(value: Readonly<Record<string, unknown>>, number: number): BundleManifest {
  const { format, version, namespace, exported_at: exportedAt } = value;
  if (format !== bundleFormat) {
    throw new BundleError(number, `its format is ${shown(format)}, not "${bundleFormat}"`);
  }
  if (typeof version !== "number" || !Number.isInteger(version) || version < 1) {
    throw new BundleError(number, "its version is no number from 1 on");
  }
  if (version > bundleVersion) {
    throw new BundleError(
      number,
      `it is of version ${version}, this program reads up to ${bundleVersion}; use a newer sessiond`,
    );
  }
  const from = typeof namespace === "string" ? namespace : "";
  return { version, namespace: from, ...(typeof exportedAt === "string" && { exportedAt }) };
}

function summaryOf(value: unknown, number: number): BundleSummary {
  const { sessions, events, sha256 } = (value ?? {}) as Partial<BundleSummary>;
  if (typeof sessions !== "number" || typeof events !== "number" || typeof sha256 !== "string") {
    throw new BundleError(number, "its summary needs sessions, events and sha256");
  }
  return { sessions, events, sha256 };
}

function shown(value: unknown): string {
  return typeof value === "string" ? value.slice(0, 100) : (JSON.stringify(value) ?? "absent");
}
