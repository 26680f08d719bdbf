import { create } from "@bufbuild/protobuf";
import {
  type GroupExplanation,
  GroupExplanationSchema,
  type RevisionRange,
  Treatment,
} from "@sessiond/contract";
import type { Group } from "./groups.ts";
import type { Piece } from "./pieces.ts";

/** What is known about one group of a window. */
export interface ExplainedGroup {
  readonly group: Group;
  readonly pieces: readonly Piece[];
}

/**
 * Says for each group what became of it, oldest first. Of what was not read, neighbours that left
 * together are one entry.
 */
export function explain(args: {
  kept: readonly ExplainedGroup[];
  /** Groups that were read and left out, and why. */
  dropped: readonly { readonly group: Group; readonly reason: string; readonly tokens: number }[];
  /** What the compaction in force covers. */
  covered: readonly RevisionRange[];
  coveredBy: number;
  /** Revisions that were not even read, because the window is full. */
  unread: readonly RevisionRange[];
}): GroupExplanation[] {
  const entries = [
    ...args.kept.map(({ group, pieces }) => entry(group, keptAs(pieces), reasonOf(pieces), pieces)),
    ...args.dropped.map(({ group, reason, tokens }) =>
      create(GroupExplanationSchema, {
        firstRevision: group.first,
        lastRevision: group.last,
        treatment: Treatment.DROPPED,
        reason,
        tokens,
      }),
    ),
    ...args.covered.map(({ first, last }) =>
      create(GroupExplanationSchema, {
        firstRevision: first,
        lastRevision: last,
        treatment: Treatment.SUMMARISED,
        reason: `covered by the compaction at revision ${args.coveredBy}`,
      }),
    ),
    ...args.unread.map(({ first, last }) =>
      create(GroupExplanationSchema, {
        firstRevision: first,
        lastRevision: last,
        treatment: Treatment.DROPPED,
        reason: "older than what was read",
      }),
    ),
  ];
  return joined(entries.sort((a, b) => a.firstRevision - b.firstRevision));
}

/** Neighbours that left for the same reason as one entry; groups that reach into one another stay apart. */
function joined(entries: readonly GroupExplanation[]): GroupExplanation[] {
  const result: GroupExplanation[] = [];
  let open: GroupExplanation | undefined;
  for (const [index, entry] of entries.entries()) {
    const next = entries[index + 1];
    const isApart = next === undefined || entry.lastRevision < next.firstRevision;
    const isDropped = entry.treatment === Treatment.DROPPED && isApart;
    if (open !== undefined && isDropped && open.reason === entry.reason) {
      open.lastRevision = entry.lastRevision;
      open.tokens += entry.tokens;
      continue;
    }
    result.push(entry);
    open = isDropped ? entry : undefined;
  }
  return result;
}

function entry(
  { first, last }: Group,
  treatment: Treatment,
  reason: string,
  pieces: readonly Piece[],
): GroupExplanation {
  return create(GroupExplanationSchema, {
    firstRevision: first,
    lastRevision: last,
    treatment,
    reason,
    tokens: pieces.reduce((sum, { tokens }) => sum + tokens, 0),
  });
}

/** The most that was done to a part of it. */
function keptAs(pieces: readonly Piece[]): Treatment {
  // A group of nothing but old thinking.
  if (pieces.length === 0) return Treatment.DROPPED;
  const order = [Treatment.SHORTENED, Treatment.RETRIEVED, Treatment.SYNTHETIC] as const;
  const found = order.find((treatment) => pieces.some((piece) => piece.treatment === treatment));
  return found ?? Treatment.KEPT;
}

function reasonOf(pieces: readonly Piece[]): string {
  if (pieces.length === 0) return "old thinking";
  return [...new Set(pieces.map(({ reason }) => reason))].join(", ");
}
