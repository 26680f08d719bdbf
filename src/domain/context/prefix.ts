import { createHash } from "node:crypto";

/** What the beginning of a window depends on, in the order in which a change is blamed. */
const parts = ["request", "instructions", "compaction", "protection", "amendment", "cut"] as const;

export type PrefixParts = Readonly<Record<(typeof parts)[number], readonly (string | number)[]>>;

/** Characters of the hash of one part. */
const partLength = 8;

/** Names the beginning of a window: a hash of each part, one behind the other. */
export function prefixHash(prefix: PrefixParts): string {
  return parts
    .map((part) =>
      createHash("sha256").update(JSON.stringify(prefix[part])).digest("hex").slice(0, partLength),
    )
    .join("");
}

/** What changed between two prefixes; undefined: nothing. */
export function prefixChange(known: string, now: string): (typeof parts)[number] | undefined {
  if (known === now) return undefined;
  const changed = parts.find((_, index) => {
    const at = index * partLength;
    return known.slice(at, at + partLength) !== now.slice(at, at + partLength);
  });
  return changed ?? "request";
}
