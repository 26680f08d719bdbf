import { create } from "@bufbuild/protobuf";
import { type RevisionRange, RevisionRangeSchema } from "@sessiond/contract";

/** Ranges without some revisions, in order. */
export function withoutRevisions(
  ranges: Iterable<{ readonly first: number; readonly last: number }>,
  revisions: Iterable<number>,
): RevisionRange[] {
  const left: RevisionRange[] = [];
  const out = [...new Set(revisions)].sort((a, b) => a - b);
  for (const { first, last } of ranges) {
    let next = first;
    for (const revision of out) {
      if (revision < first || revision > last) continue;
      if (next < revision)
        left.push(create(RevisionRangeSchema, { first: next, last: revision - 1 }));
      next = revision + 1;
    }
    if (next <= last) left.push(create(RevisionRangeSchema, { first: next, last }));
  }
  return left;
}
