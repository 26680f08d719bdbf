import { parseBundleLine } from "@sessiond/client/bundle";
import type { LineSource } from "./line-source.ts";

/** Passes over what is left of a session; gives what its end says. Undefined: it has none. */
export async function skipSession(
  source: LineSource,
): Promise<{ events: number; sha256: string } | undefined> {
  const end = await source.skip();
  if (end === undefined) return undefined;
  try {
    const { kind, value } = parseBundleLine(end.text, end.number);
    return kind === "end" ? { events: value.events, sha256: value.sha256 } : undefined;
  } catch {
    // It was named as a problem of its session.
    return undefined;
  }
}
