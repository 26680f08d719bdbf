import { SessionHeadSchema } from "@sessiond/contract/store";
import { parseEventKey, uidBytes } from "../../../store/keys.ts";
import { finding } from "./finding.ts";
import { newestShared } from "./references.ts";
import { type Findings, nothing, type Run } from "./run.ts";
import { damaged, decoded, exactly, pagesOf, parsed, under } from "./walk.ts";

/** The checkpoints: each is a head of its revision, and its session or a fork has that revision. */
export async function* checkCheckpoints(run: Run): AsyncGenerator<Findings> {
  for await (const page of pagesOf(run, "checkpoints")) {
    if ("findings" in page) {
      yield page;
      continue;
    }
    // Read behind the page, so that it is at least what it was then.
    const newest = new Map<string, number>();
    for (const record of page) {
      const place = parsed(parseEventKey, record.key);
      if (place === undefined) {
        yield damaged("the key of a checkpoint", {});
        continue;
      }
      const { uid, revision } = place;
      const head = decoded(SessionHeadSchema, record);
      if (head?.revision !== revision) yield damaged(`checkpoint ${revision}`, { uid });
      const known = newest.get(uid) ?? (await newestNeeded(run, uid));
      newest.set(uid, known);
      if (revision <= known || !(await isLeft(run, record.key, uid))) continue;
      const found = `a checkpoint at ${revision}, and nobody has more than ${known} events of the log`;
      yield { findings: [finding("CHECKPOINT_STRAY", { uid }, found)] };
    }
    yield nothing;
  }
}

/** Last revision that the session of a log, or a fork that shares it, has. */
async function newestNeeded({ store }: Run, uid: string): Promise<number> {
  const key = uidBytes(uid);
  const [heads, garbage] = await store.records(exactly("heads", key), exactly("garbage", key));
  if (under(key, garbage) !== undefined) return Number.POSITIVE_INFINITY;
  const record = under(key, heads);
  if (record === undefined) return newestShared(store, key);
  return decoded(SessionHeadSchema, record)?.revision ?? Number.POSITIVE_INFINITY;
}

/** It is still there, and not about to be removed. */
async function isLeft({ store }: Run, key: Uint8Array, uid: string): Promise<boolean> {
  const log = uidBytes(uid);
  const [checkpoints, garbage] = await store.records(
    exactly("checkpoints", key),
    exactly("garbage", log),
  );
  return under(key, checkpoints) !== undefined && under(log, garbage) === undefined;
}
