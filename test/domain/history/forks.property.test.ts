import { toJson } from "@bufbuild/protobuf";
import { GetContextWindowResponseSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { open, sessionId } from "../context/compaction/support.ts";
import { logs } from "../context/logs/log.ts";
import { fork, remove } from "./support.ts";

/** What a model would see of a session, in a window of its own policy. */
async function seen(domain: TestDomain, id: string) {
  const window = await domain.window({ sessionId: id });
  const { items, tokens } = toJson(GetContextWindowResponseSchema, window) as Record<
    string,
    unknown
  >;
  return { items, tokens };
}

test("a fork sees what its parent saw at that revision, compactions and protection included", async () => {
  await fc.assert(
    fc.asyncProperty(logs({ minLength: 4, maxLength: 40 }), async (appends) => {
      await using domain = await openTestDomain();
      await open(domain, { tokenBudget: 4_000, compaction: { triggerMessages: 6 } });
      const sights: { revision: number; window: unknown }[] = [];
      for (const { passMs, events } of appends) {
        domain.now += passMs;
        await domain.append({ sessionId, events: [...events] });
        await domain.settled();
        const { headRevision: revision } = await domain.get(sessionId);
        sights.push({ revision, window: await seen(domain, sessionId).catch(String) });
      }
      for (const { revision, window } of sights) {
        const newSessionId = `at-${revision}`;
        await fork(domain, { sessionId, revision, newSessionId });
        const own = await seen(domain, newSessionId).catch((error: unknown) =>
          String(error).replaceAll(newSessionId, sessionId),
        );
        expect(own).toEqual(window);
      }
    }),
    { numRuns: 40 },
  );
});

test("sessions deleted in any order take nothing from forks, and leave nothing behind", async () => {
  const step = fc.record({
    of: fc.nat(20),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    appends: fc.nat(3),
    deletes: fc.option(fc.nat(20), { freq: 2 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
      await using domain = await openTestDomain();
      /** Logs as they have to be, by session. */
      const expected = new Map<string, unknown[]>();
      const uids = new Set<string>();
      await open(domain);
      uids.add((await domain.get(sessionId)).uid);
      expected.set(sessionId, await domain.log(sessionId));
      for (const [index, { of, at, appends, deletes }] of steps.entries()) {
        const ids = [...expected.keys()];
        const parent = ids[of % ids.length];
        if (parent === undefined) break;
        const log = expected.get(parent) ?? [];
        const revision = 1 + Math.floor(at * (log.length - 1));
        const id = `f${index}`;
        const made = await fork(domain, { sessionId: parent, revision, newSessionId: id });
        uids.add(made.uid);
        for (let i = 0; i < appends; i++) {
          const value = { text: `${id} ${i}` };
          await domain.append({
            sessionId: id,
            events: [{ payload: { case: "message", value } }],
          });
        }
        const own = await domain.log(id);
        expect(own.slice(0, revision)).toEqual(log.slice(0, revision));
        expected.set(id, own);
        if (deletes === null) continue;
        const gone = [...expected.keys()][deletes % expected.size] ?? id;
        await remove(domain, gone);
        expected.delete(gone);
      }
      for (const [id, log] of expected) expect(await domain.log(id)).toEqual(log);
      for (const id of expected.keys()) await remove(domain, id);
      for (const uid of uids) {
        const range = { uid, first: 1, last: 0xffff, maxEvents: 9, maxBytes: 1e6 };
        expect(await domain.store.readEvents(range)).toEqual([]);
      }
    }),
    { numRuns: 60 },
  );
});
