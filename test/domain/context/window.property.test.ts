import { create, toBinary, toJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import {
  type Event,
  EventSchema,
  type GetContextWindowResponse,
  GetContextWindowResponseSchema,
  type GroupExplanation,
  Treatment,
} from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ContextTooLongError, ProtectedBudgetExceededError } from "../../../src/errors.ts";
import type { Store } from "../../../src/store/store.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { type Append, logs } from "./logs/log.ts";
import { type PolicyInit, policies } from "./logs/policies.ts";
import { type DialectName, validators } from "./validators/validators.ts";

const sessionId = "s";
const dialects = Object.keys(validators) as DialectName[];

/** What is asked for. */
const asks = fc.record({
  tokenBudget: fc.constantFrom(600, 1_500, 4_000, 12_000, 100_000),
  reservedOutputTokens: fc.constantFrom(0, 0, 200),
  dialect: fc.constantFrom(...dialects).map((name) => validators[name].dialect),
  query: fc.constantFrom("", "", "lorem ipsum look"),
  agent: fc.constantFrom("", "", "planner"),
  policy: fc.constantFrom({}, { maxTurns: 2 }, { toolResults: { always: true, keepWhole: 1 } }),
  explain: fc.constant(true),
});

/** Most logs are read at once, some are longer than what a small window reads of them. */
const anyLog = fc.oneof(
  { weight: 9, arbitrary: logs({ minLength: 4, maxLength: 40 }) },
  { weight: 1, arbitrary: logs({ minLength: 150, maxLength: 250 }) },
);

/** A window with what it was made of. */
interface Sight {
  readonly domain: TestDomain;
  readonly store: Store;
  readonly ask: Parameters<TestDomain["window"]>[0];
  readonly log: readonly Event[];
  readonly window: GetContextWindowResponse;
}

/** Holds a law against windows of generated logs; those that cannot be have none. */
async function always(law: (sight: Sight) => void | Promise<void>): Promise<void> {
  let seen = 0;
  const property = fc.asyncProperty(anyLog, asks, policies, async (appends, fields, policy) => {
    await using domain = await openTestDomain();
    await fill(domain, appends, policy);
    const ask = { ...fields, sessionId };
    const window = await windowOf(domain, ask);
    if (window === undefined) return;
    seen++;
    await law({ domain, store: domain.store, ask, log: await domain.log(sessionId), window });
  });
  await fc.assert(property, { numRuns: 200, interruptAfterTimeLimit: 60_000 });
  expect(seen).toBeGreaterThan(50);
}

async function fill(
  domain: TestDomain,
  appends: readonly Append[],
  contextPolicy: PolicyInit,
): Promise<void> {
  await domain.create({ session: { sessionId, systemInstructions: "Be kind.", contextPolicy } });
  for (const { passMs, events } of appends) {
    domain.now += passMs;
    await domain.append({ sessionId, events: [...events] });
    await domain.settled();
  }
}

/** A window by an index that is complete: one that comes late is partial, as it is meant to be. */
async function settledWindow(domain: TestDomain, ask: Sight["ask"]) {
  let window = await domain.window(ask);
  while (window.indexPartial) window = await domain.window(ask);
  return window;
}

async function windowOf(domain: TestDomain, ask: Sight["ask"]) {
  try {
    return await settledWindow(domain, ask);
  } catch (error) {
    if (error instanceof ContextTooLongError) return undefined;
    if (error instanceof ProtectedBudgetExceededError) return undefined;
    throw error;
  }
}

describe("whatever a log holds and whatever is asked for", { timeout: 120_000 }, () => {
  it("window ≤ budget: a recount of what it shows has no more tokens than it says", async () => {
    await always(({ window, ask }) => {
      const { total = 0, ...parts } = window.tokens ?? {};
      expect(total).toBeLessThanOrEqual((ask.tokenBudget ?? 0) - (ask.reservedOutputTokens ?? 0));
      const uses = Object.values(parts).filter((value) => typeof value === "number");
      expect(uses.reduce((sum, use) => sum + use, 0)).toBe(total);
      const shown = window.items.reduce((sum, { event }) => sum + charactersOf(event), 0);
      // The words of a label have many characters and few tokens.
      const labels = window.items.filter(({ treatment, event }) => {
        return treatment === Treatment.SYNTHETIC && event?.payload.case === "message";
      });
      expect(shown).toBeLessThanOrEqual(total + 100 * labels.length);
    });
  });

  it("order: groups stand in the order of the log, and of a group nothing else stands between", async () => {
    await always(({ window, log }) => {
      const groups = groupsOf(window);
      const runs = groups.filter((group, index) => group !== groups[index - 1]);
      expect(runs).toEqual([...new Set(groups)].sort((a, b) => a - b));
      const known = new Set(log.map(({ group }) => group));
      for (const group of runs) expect(known).toContain(group);
    });
  });

  it("groups are whole: of each that is there, everything said is, and each call has one result", async () => {
    await always(({ window, log }) => {
      const there = new Set(groupsOf(window));
      const revisions = new Set(window.items.map(({ event }) => event?.revision ?? 0));
      for (const event of log) {
        if (!there.has(event.group) || !mustBeShown(event)) continue;
        expect(revisions).toContain(event.revision);
      }
      const calls = eventsIn(window).filter(({ payload }) => payload.case === "toolCall");
      const results = eventsIn(window).filter(
        ({ payload, callRevision }) => payload.case === "toolResult" && callRevision !== 0,
      );
      expect(results.map(({ callRevision }) => callRevision).sort()).toEqual(
        calls.map(({ revision }) => revision).sort(),
      );
    });
  });

  it("Protected: protected events are there byte for byte", async () => {
    await always(({ window, log, ask }) => {
      if (ask.agent !== "") return;
      const there = new Map(eventsIn(window).map((event) => [event.revision, event]));
      for (const event of log.filter(({ protection }) => protection !== undefined)) {
        const shown = there.get(event.revision);
        expect(shown && bytesOf(shown)).toEqual(bytesOf(event));
      }
    });
  });

  it("what is kept or retrieved is there as it was appended, and nothing twice", async () => {
    await always(({ window, log }) => {
      const revisions = eventsIn(window)
        .map(({ revision }) => revision)
        .filter((revision) => revision !== 0);
      expect(new Set(revisions).size).toBe(revisions.length);
      for (const { event, treatment } of window.items) {
        const isWhole = treatment === Treatment.KEPT || treatment === Treatment.RETRIEVED;
        if (!isWhole || event === undefined || event.revision === 0) continue;
        const appended = log[event.revision - 1];
        expect(appended && bytesOf(appended)).toEqual(bytesOf(event));
      }
    });
  });

  it("thinking with a signature is there as it was signed, or not at all", async () => {
    await always(({ window, log }) => {
      const signed = log.flatMap(({ payload }) =>
        payload.case === "thinking" ? [[payload.value.text, payload.value.signature]] : [],
      );
      for (const { thinking, signature } of thoughtsIn(renderedOf(window))) {
        expect(signed).toContainEqual([thinking, signature]);
      }
    });
  });

  it("the same log gives the same window: asked twice, and after a restart", async () => {
    await always(async ({ domain, store, ask, window }) => {
      const bytes = toBinary(GetContextWindowResponseSchema, window);
      const again = await settledWindow(domain, ask);
      expect(toBinary(GetContextWindowResponseSchema, again)).toEqual(bytes);
      const restarted = await openTestDomain({ store });
      const later = await settledWindow(restarted, ask);
      // The store is the first domain's to close.
      await restarted.close();
      expect(toBinary(GetContextWindowResponseSchema, later)).toEqual(bytes);
    });
  });

  it("coverage: explain says of every group what became of it, once", async () => {
    await always(({ window, log }) => {
      const groups = spansOf(log);
      const shown = new Set(groupsOf(window));
      for (const [first] of groups) {
        const entries = entriesAbout(first, window.groups, groups);
        expect(entries, `entries about group ${first}`).toHaveLength(1);
        const isLeft = [Treatment.DROPPED, Treatment.SUMMARISED].includes(
          entries[0]?.treatment ?? Treatment.UNSPECIFIED,
        );
        expect(isLeft, `group ${first} is left out`).toBe(!shown.has(first));
      }
    });
  });
});

/** Groups of a window's items, those of what a log holds. */
function groupsOf(window: GetContextWindowResponse): number[] {
  return eventsIn(window)
    .map(({ group }) => group)
    .filter((group) => group !== 0);
}

function eventsIn({ items }: GetContextWindowResponse): Event[] {
  return items.flatMap(({ event }) => event ?? []);
}

/** Texts and calls; thinking may be left out, and progress when there is a result. */
function mustBeShown({ payload }: Event): boolean {
  return payload.case === "message" || payload.case === "toolCall" || payload.case === "output";
}

function bytesOf(event: Event): Uint8Array {
  return toBinary(EventSchema, create(EventSchema, event));
}

/** Text that an event puts before a model, at a token a character. */
function charactersOf(event: Event | undefined): number {
  const payload = event?.payload;
  switch (payload?.case) {
    case "message":
    case "thinking":
    case "output":
      return payload.value.text.length;
    case "toolCall":
      return payload.value.name.length + payload.value.arguments.length;
    case "toolResult":
      return payload.value.content.length;
    default:
      return 0;
  }
}

/** First and last revisions of the groups of a log. */
function spansOf(log: readonly Event[]): ReadonlyMap<number, number> {
  const spans = new Map<number, number>();
  for (const { group, revision } of log) if (group !== 0) spans.set(group, revision);
  return spans;
}

/**
 * Entries about a group: its own, or else those of ranges that it is in. An entry from the first to
 * the last revision of another group is that group's, unless a compaction covers them, or they are among
 * those that were not read, whose range may happen to be as long as its first group.
 */
function entriesAbout(
  first: number,
  entries: readonly GroupExplanation[],
  spans: ReadonlyMap<number, number>,
): GroupExplanation[] {
  const own = entries.filter(({ firstRevision }) => firstRevision === first);
  if (own.length > 0) return own;
  return entries.filter(
    ({ firstRevision, lastRevision, treatment, reason }) =>
      firstRevision < first &&
      first <= lastRevision &&
      (treatment === Treatment.SUMMARISED ||
        reason === "older than what was read" ||
        spans.get(firstRevision) !== lastRevision),
  );
}

function renderedOf({ rendered }: GetContextWindowResponse): unknown {
  return rendered === undefined ? null : toJson(ValueSchema, rendered);
}

/** Signed thinking wherever it is in a request to the messages API. */
function thoughtsIn(value: unknown): { thinking: string; signature: string }[] {
  if (typeof value !== "object" || value === null) return [];
  const inside = Object.values(value).flatMap((member) => thoughtsIn(member));
  const { type, thinking, signature } = value as Record<string, unknown>;
  if (type !== "thinking") return inside;
  return [...inside, { thinking: String(thinking), signature: String(signature) }];
}
