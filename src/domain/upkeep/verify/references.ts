import { type LogSegment, SessionHeadSchema } from "@sessiond/contract/store";
import { limits } from "../../../limits.ts";
import { referencesOf } from "../../../store/indexes.ts";
import { parseReferenceKey, uidBytes } from "../../../store/keys.ts";
import type { Store, StoredRecord } from "../../../store/store.ts";
import { finding } from "./finding.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

/** The references: each is that of a fork that is there and shares the log so far. */
export async function* checkReferences(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "references")) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    for (const { key } of page) {
      const reference = parsed(parseReferenceKey, key);
      if (reference === undefined) {
        yield damaged("the key of a reference", {});
        continue;
      }
      const { uid, lastRevision } = reference;
      const head = uidBytes(uid);
      // Both in one moment: the fork may have gone since the page was read.
      const [keys, heads] = await run.store.records(
        exactly("references", key),
        exactly("heads", head),
      );
      if (under(key, keys) === undefined || isWanted(key, uid, under(head, heads))) continue;
      const found = `a reference says that it shares a log up to ${lastRevision}, its head does not`;
      yield { findings: [finding("REFERENCE_STRAY", { uid }, found)] };
    }
    yield nothing;
  }
}

/** A head that is damaged says nothing about what it shares; that it is damaged is said elsewhere. */
function isWanted(key: Uint8Array, uid: string, record: StoredRecord | undefined): boolean {
  if (record === undefined) return false;
  const head = decoded(SessionHeadSchema, record);
  if (head === undefined) return true;
  return referencesOf(uid, head.inherited).some((wanted) => Buffer.compare(wanted, key) === 0);
}

/** References that a fork should have and has not. */
export async function missingReferences(
  { store }: Run,
  uid: string,
  inherited: readonly LogSegment[],
): Promise<Findings> {
  if (inherited.length === 0) return nothing;
  const key = uidBytes(uid);
  const wanted = referencesOf(uid, inherited);
  const [heads, ...found] = await store.records(
    exactly("heads", key),
    ...wanted.map((reference) => exactly("references", reference)),
  );
  // Deleted since.
  if (under(key, heads) === undefined) return nothing;
  const missing = wanted.filter((reference, index) => under(reference, found[index]) === undefined);
  return {
    findings: missing.map((reference) => {
      const { lastRevision } = parseReferenceKey(reference);
      const words = `no reference keeps the events that it shares up to ${lastRevision}`;
      return finding("REFERENCE_MISSING", { uid }, words);
    }),
  };
}

/** Last revision of a log that a fork shares, by the references; 0: none does. */
export async function newestShared(store: Store, log: Uint8Array): Promise<number> {
  let newest = 0;
  let after: Uint8Array | undefined;
  for (;;) {
    const [page] = await store.records({
      table: "references",
      prefix: log,
      ...(after && { after }),
      limit: limits.verifyRecords,
    });
    after = page.at(-1)?.key;
    if (after === undefined) return newest;
    newest = parsed(parseReferenceKey, after)?.lastRevision ?? newest;
    if (page.length < limits.verifyRecords) return newest;
  }
}
