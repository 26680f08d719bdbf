import { create } from "@bufbuild/protobuf";
import {
  DeleteSessionRequestSchema,
  EndSessionRequestSchema,
  IfExists,
  ReopenSessionRequestSchema,
  SessionSchema,
  type SessionState,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import { SessionTally } from "../../../src/domain/metrics/session-tally.ts";
import { decoded } from "../../../src/domain/upkeep/verify/walk.ts";
import { SessiondError } from "../../../src/errors.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";

/** Several pages of them. */
const sessionsBefore = 150;

const operation = fc.record({
  what: fc.constantFrom("create", "end", "reopen", "delete", "renew"),
  /** Some of them are not there, and the operation is refused. */
  session: fc.integer({ min: 0, max: sessionsBefore + 20 }),
});
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** Operations that the domain refuses are none. */
async function runAll(domain: TestDomain, operations: readonly Operation[]): Promise<void> {
  for (const each of operations) {
    await run(domain, each).catch((error: unknown) => {
      if (!(error instanceof SessiondError)) throw error;
    });
  }
}

async function run(domain: TestDomain, { what, session }: Operation): Promise<unknown> {
  const sessionId = `s${session}`;
  switch (what) {
    case "create":
      return domain.create({ session: { sessionId } });
    case "end":
      return domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
    case "reopen":
      return domain.lifecycle.reopen(create(ReopenSessionRequestSchema, { sessionId }));
    case "delete":
      return domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
    default:
      return domain.create({ session: { sessionId }, ifExists: IfExists.RENEW });
  }
}

/** What is really there. */
async function statesOf(store: Store): Promise<Map<SessionState, number>> {
  const [records] = await store.records({ table: "sessions", limit: 10_000 });
  const states = new Map<SessionState, number>();
  for (const record of records) {
    const state = decoded(SessionSchema, record)?.state;
    if (state !== undefined) states.set(state, (states.get(state) ?? 0) + 1);
  }
  return states;
}

function withoutZeros(counts: ReadonlyMap<SessionState, number> | undefined) {
  return new Map([...(counts ?? [])].filter(([, sessions]) => sessions !== 0));
}

test("sessions by state are right whatever happens while the store is read, and after", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(operation, { maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      fc.array(operation, { maxLength: 12 }),
      async (meanwhile, later) => {
        await using domain = await openTestDomain();
        const { store } = domain;
        for (let n = 0; n < sessionsBefore; n++)
          await domain.create({ session: { sessionId: `s${n}` } });
        const pieces = [...meanwhile];
        const tally = new SessionTally({
          onCommit: (listener) => store.onCommit(listener),
          // Some happen between the reading of a page and its arrival.
          readSessions: async (range) => {
            const [page] = await store.records(range);
            await runAll(domain, pieces.shift() ?? []);
            return page;
          },
        });
        expect(tally.counts).toBeUndefined();
        await tally.fill();
        expect(withoutZeros(tally.counts)).toEqual(await statesOf(store));
        await runAll(domain, later);
        expect(withoutZeros(tally.counts)).toEqual(await statesOf(store));
        await tally.close();
      },
    ),
    { numRuns: 60 },
  );
});
