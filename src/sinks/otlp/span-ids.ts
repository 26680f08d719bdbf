import { hash } from "node:crypto";

/*
 * Ids are made of what they name, so that a span that is sent again, also by another process, is the same
 * span: uid and revision name an event.
 */

/** Trace of a session that no other trace asked for: its uid, which is 16 bytes in hexadecimal digits. */
export function traceIdOf(uid: string): string {
  return uid.replaceAll("-", "");
}

/** What the span of an event is of: the event itself, or the model call that it reports. */
export type SpanPart = "event" | "chat";

/** Span that begins with an event: the first 8 bytes of a SHA-256, which are never all zero. */
export function spanIdOf(uid: string, revision: number, part: SpanPart = "event"): string {
  const id = hash("sha256", `${uid} ${revision} ${part}`, "hex").slice(0, 16);
  return /^0+$/.test(id) ? "0000000000000001" : id;
}
