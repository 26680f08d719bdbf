import { create } from "@bufbuild/protobuf";
import {
  AmendToolCallRequestSchema,
  type Event,
  ListEventsRequestSchema,
  ListStepsRequestSchema,
  SetProtectionRequestSchema,
} from "@sessiond/contract";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { TokenCounter } from "../../../src/domain/tokens/counter.ts";
import { CallHiddenError } from "../../../src/errors.ts";
import { characterCounter, openTestDomain, type TestDomain } from "../../support/domain.ts";
import { compact, everything, open, sessionId } from "../context/compaction/support.ts";
import { logs } from "../context/logs/log.ts";
import { fork, rewind } from "./support.ts";

/** What a window shows, without the revisions by which the two logs differ. */
async function shown(domain: TestDomain, id: string, budget: number) {
  const request = { ...everything, sessionId: id, tokenBudget: budget };
  const window = await domain.window(request).catch((error: Error) => error.name);
  if (typeof window === "string") return window;
  return window.items.map(({ event, treatment, reason, tokens }) => ({
    text: said(event),
    author: event?.author,
    treatment,
    reason,
    tokens,
  }));
}

function said(event: Event | undefined): string {
  const { payload, callRevision = 0 } = event ?? {};
  const text = JSON.stringify([payload, callRevision > 0], (_, value) =>
    typeof value === "bigint" ? String(value) : value,
  );
  return withoutRevision(text);
}

const withoutRevision = (text: string) => text.replace(/revision \d+/g, "revision");

/** Texts that name a revision of the one log count as those that name it of the other. */
const tokens: TokenCounter = {
  ...characterCounter,
  count: (texts, encoding) => characterCounter.count(texts.map(withoutRevision), encoding),
};

async function listed(domain: TestDomain, id: string): Promise<string[]> {
  const request = create(ListEventsRequestSchema, { sessionId: id, pageSize: 1_000 });
  const { events } = await domain.events.list(request);
  return events.filter(({ payload }) => !records.has(payload.case)).map(said);
}

const records: ReadonlySet<string | undefined> = new Set([
  "rewind",
  "forked",
  "protectionChanged",
  "compaction",
  "amendment",
]);

async function steps(domain: TestDomain, id: string) {
  const request = create(ListStepsRequestSchema, { sessionId: id, pageSize: 1_000 });
  const { steps } = await domain.steps.list(request);
  return steps.map(({ type, name, input, output, status }) => [type, name, input, output, status]);
}

/** Revisions that can be protected, as both logs have them at the same places. */
async function protectable(domain: TestDomain, id: string): Promise<number[]> {
  const request = create(ListEventsRequestSchema, { sessionId: id, pageSize: 1_000 });
  const { events } = await domain.events.list(request);
  return events.flatMap(({ group, revision }) => (group === 0 ? [] : [revision]));
}

/** What becomes of a session and of the fork that it is compared with. */
const moves = {
  rewind: async ({ domain, twin, share }: Both) => {
    const head = (await domain.get(sessionId)).headRevision;
    const revision = Math.max(1, Math.round(share * head));
    const to = { case: "revision", value: revision } as const;
    const { revision: made, visibleThrough } = await rewind(domain, { to });
    if (made > 0) expect(visibleThrough).toBeLessThanOrEqual(revision);
    else expect(visibleThrough).toBe(head);
    await fork(domain, { sessionId, revision: visibleThrough, newSessionId: twin });
    return true;
  },
  protect: ({ domain, ids, share }: Both) =>
    onEach(ids, async (id) => {
      const revisions = await protectable(domain, id);
      const chosen = revisions[Math.floor(share * (revisions.length - 1))];
      if (chosen === undefined) return;
      const request = { sessionId: id, revisions: [chosen] };
      await domain.protections.set(create(SetProtectionRequestSchema, request));
    }),
  amend: ({ domain, ids, share }: Both) =>
    onEach(ids, async (id) => {
      const request = create(ListEventsRequestSchema, { sessionId: id, pageSize: 1_000 });
      const { events } = await domain.events.list(request);
      const calls = events.filter(({ payload }) => payload.case === "toolCall");
      const call = calls[Math.floor(share * calls.length)];
      if (call === undefined) return;
      const amendment = { sessionId: id, revision: call.revision, arguments: `{"n":${share}}` };
      await domain.amendments.amend(create(AmendToolCallRequestSchema, amendment));
    }),
  compact: ({ domain, ids }: Both) =>
    onEach(ids, async (id) => {
      await compact(domain, { sessionId: id, targetRatio: 0.05 });
      compactions++;
    }),
} as const;

/** Makes a call on both, which is refused by both or by none. */
async function onEach(ids: readonly string[], call: (id: string) => Promise<unknown>) {
  const outcomes = await Promise.allSettled(ids.map(call));
  expect(new Set(outcomes.map(({ status }) => status)).size).toBe(1);
  return false;
}

interface Both {
  readonly domain: TestDomain;
  readonly ids: readonly string[];
  readonly twin: string;
  readonly share: number;
}

interface Move {
  readonly kind: keyof typeof moves;
  readonly share: number;
}

const move: fc.Arbitrary<Move | null> = fc.option(
  fc.record({
    kind: fc.constantFrom<keyof typeof moves>("rewind", "protect", "compact", "amend"),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
  { freq: 2 },
);

let rewinds = 0;
let compactions = 0;

test("a rewound session goes on as a fork from that revision does", {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(
      logs({ minLength: 4, maxLength: 40 }),
      fc.infiniteStream(move),
      async (appends, stream) => {
        await using domain = await openTestDomain({ tokens });
        await open(domain, { tokenBudget: 4_000, compaction: { manual: true } });
        let ids = [sessionId];
        for (const { passMs, events } of appends) {
          domain.now += passMs;
          for (const id of ids) {
            const append = domain.append({ sessionId: id, events: structuredClone([...events]) });
            if (id !== sessionId) await append;
            else if (await isHidden(append)) break;
          }
          const next = stream.next().value as Move | null;
          const twin = `twin-${rewinds}`;
          if (next && (await moves[next.kind]({ domain, ids, twin, share: next.share }))) {
            ids = [sessionId, twin];
            rewinds++;
          }
          await expectAlike(domain, ids);
        }
      },
    ),
    { numRuns: 100 },
  );
  expect(rewinds).toBeGreaterThan(100);
  expect(compactions).toBeGreaterThan(10);
});

/** The append brings a late result for a call that the rewind hid: the fork cannot know of that call. */
async function isHidden(append: Promise<unknown>): Promise<boolean> {
  const error = await append.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (error !== undefined) expect(error).toBeInstanceOf(CallHiddenError);
  return error !== undefined;
}

async function expectAlike(domain: TestDomain, [mine, twin]: readonly string[]): Promise<void> {
  if (mine === undefined || twin === undefined) return;
  expect(await listed(domain, mine)).toEqual(await listed(domain, twin));
  expect(await steps(domain, mine)).toEqual(await steps(domain, twin));
  expect(await shown(domain, mine, 10_000_000)).toEqual(await shown(domain, twin, 10_000_000));
  // Where a small one is cut goes by tokens in front of it, hidden ones too; what must stay does not.
  const refused = async (id: string) => typeof (await shown(domain, id, 400)) === "string";
  expect(await refused(mine)).toBe(await refused(twin));
  const [one, other] = await Promise.all([tokensOf(domain, mine), tokensOf(domain, twin)]);
  expect(one).toEqual(other);
}

/** What the heads say of their windows. */
async function tokensOf(domain: TestDomain, id: string) {
  const stored = await domain.store.getSession({ namespace: "default", sessionId: id });
  const { windowTokens, context, metrics } = stored?.head ?? {};
  return {
    windowTokens,
    protected: context?.protected.length,
    protectedEvents: metrics?.protectedEvents,
    amended: context?.amendedCalls.length,
    open: context?.openCalls.map(({ callId }) => callId),
    compactions: metrics?.compactions,
  };
}
