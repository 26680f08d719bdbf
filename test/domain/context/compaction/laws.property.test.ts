import {
  type Compaction,
  type Event,
  type GetContextWindowResponse,
  Treatment,
} from "@sessiond/contract";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openTestDomain, type TestDomain } from "../../../support/domain.ts";
import { type Append, logs } from "../logs/log.ts";
import { policies } from "../logs/policies.ts";
import {
  bytesOf,
  compact,
  eventBytes,
  everything,
  open,
  revert,
  sessionId,
  usages,
} from "./support.ts";

/** What may be done to a session between two appends. */
const deed = fc.constantFrom("nothing", "nothing", "nothing", "compact", "revert");

interface Life {
  readonly domain: TestDomain;
  /** Compactions that were taken back. */
  readonly reverted: ReadonlySet<number>;
}

/** Lives a session, and looks at it after everything that happened. */
async function always(look: (life: Life) => Promise<void>, numRuns = 60): Promise<number> {
  let compactions = 0;
  const property = fc.asyncProperty(
    logs({ minLength: 4, maxLength: 40 }),
    policies,
    fc.infiniteStream(deed),
    async (appends, policy, deeds) => {
      await using domain = await openTestDomain();
      await open(domain, policy);
      const reverted = new Set<number>();
      for (const append of appends) {
        await happen(domain, append, deeds.next().value, reverted);
        await look({ domain, reverted });
      }
      const { metrics } = await domain.get(sessionId);
      compactions += metrics?.compactions?.count ?? 0;
    },
  );
  await fc.assert(property, { numRuns });
  return compactions;
}

async function happen(
  domain: TestDomain,
  { passMs, events }: Append,
  what: string,
  reverted: Set<number>,
): Promise<void> {
  domain.now += passMs;
  await domain.append({ sessionId, events: [...events] });
  await domain.settled();
  if (what === "compact") await compact(domain);
  if (what === "revert") {
    const revision = (await inForce(domain))?.revision;
    if (revision === undefined) return;
    await revert(domain);
    reverted.add(revision);
  }
}

async function inForce(domain: TestDomain) {
  const session = await domain.store.getSession({ namespace: "default", sessionId });
  return session?.head.context?.compaction;
}

async function lookAt(domain: TestDomain) {
  const log = await domain.log(sessionId);
  const window = await domain.window(everything);
  const revision = (await inForce(domain))?.revision ?? 0;
  const payload = log[revision - 1]?.payload;
  const compaction = payload?.case === "compaction" ? payload.value : undefined;
  return { log, window, compaction };
}

function revisionsOf({ covered }: Pick<Compaction, "covered">): number[] {
  return covered.flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index),
  );
}

/** Groups that have something to show whatever is left out of them. */
function tellingGroups(log: readonly Event[]): Set<number> {
  const silent = new Set(["thinking"]);
  const telling = log.filter(({ group, payload }) => group > 0 && !silent.has(payload.case ?? ""));
  return new Set(telling.map(({ group }) => group));
}

describe("whatever happens to a session", { timeout: 120_000 }, () => {
  it("context usage equals the tokens of its window, but for stand-ins of results that are awaited", async () => {
    const compactions = await always(async ({ domain }) => {
      const { usage, window } = await usages(domain);
      const { items } = await domain.window(everything);
      const standIns = items.filter(({ reason }) => reason === "no_result");
      expect(usage).toBe(window - standIns.reduce((sum, { tokens }) => sum + tokens, 0));
    });
    expect(compactions).toBeGreaterThan(20);
  });

  it("coverage: a compaction covers every event that left, and none that stays", async () => {
    await always(async ({ domain }) => {
      const { log, window, compaction } = await lookAt(domain);
      const covered = new Set(revisionsOf(compaction ?? { covered: [] }));
      const shown = new Set(window.items.map(({ event }) => event?.group ?? 0));
      const telling = tellingGroups(log);
      for (const { revision, group } of log) {
        if (!telling.has(group)) continue;
        expect(covered.has(revision), `revision ${revision} of group ${group}`).toBe(
          !shown.has(group),
        );
      }
    });
  });

  it("coverage: ranges are in order and apart, and hold those of the compaction before", async () => {
    await always(async ({ domain }) => {
      const { log, compaction } = await lookAt(domain);
      if (compaction === undefined) return;
      const revisions = revisionsOf(compaction);
      expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
      const before = log[compaction.previousRevision - 1]?.payload;
      if (before?.case !== "compaction") return;
      const held = new Set(revisions);
      expect(revisionsOf(before.value).filter((revision) => !held.has(revision))).toEqual([]);
    });
  });

  it("progress: every compaction takes tokens away", async () => {
    await always(async ({ domain }) => {
      for (const { payload } of await domain.log(sessionId)) {
        if (payload.case !== "compaction") continue;
        const { tokensBefore, tokensAfter } = payload.value;
        expect(tokensAfter).toBeLessThan(tokensBefore);
      }
    });
  });

  it("Accounted: compaction metrics equal a recount of the compactions that were not taken back", async () => {
    await always(async ({ domain, reverted }) => {
      const log = await domain.log(sessionId);
      const standing = log.flatMap(({ revision, payload }) =>
        payload.case === "compaction" && !reverted.has(revision) ? [payload.value] : [],
      );
      const { metrics } = await domain.get(sessionId);
      const before = standing.reduce((sum, { tokensBefore }) => sum + tokensBefore, 0);
      expect(metrics?.compactions?.count ?? 0).toBe(standing.length);
      expect(Number(metrics?.compactions?.tokensBefore ?? 0)).toBe(before);
      expect(metrics?.protectedEvents).toBe(
        log.filter(({ protection }) => protection !== undefined).length,
      );
    });
  });

  it("Protected: every protected event is in the window, byte for byte", async () => {
    await always(async ({ domain }) => {
      const { log, window } = await lookAt(domain);
      const shown = window.items.flatMap(({ event }) => (event ? [eventBytes(event)] : []));
      for (const event of log) {
        if (event.protection !== undefined) expect(shown).toContain(eventBytes(event));
      }
    });
  });

  it("the same log gives the same window after a restart", async () => {
    await always(async ({ domain }) => {
      const restarted = await openTestDomain({ store: domain.store });
      const later = await restarted.window(everything);
      // The store is the first domain's to close.
      await restarted.close();
      expect(bytesOf(later)).toEqual(bytesOf(await domain.window(everything)));
    }, 30);
  });

  it("prefix stable between triggers: as long as its hash stays, a window begins with the one before", async () => {
    let same = 0;
    const older = new WeakMap<TestDomain, GetContextWindowResponse>();
    await always(async ({ domain }) => {
      const before = older.get(domain);
      const now = await domain.window(everything);
      older.set(domain, now);
      // What stands in for a result goes when the result comes.
      if (before === undefined || before.items.some(({ reason }) => reason === "no_result")) return;
      if (now.prefixHash !== before.prefixHash) return;
      same++;
      expect(bytesOf(now).slice(0, before.items.length)).toEqual(bytesOf(before));
    });
    expect(same).toBeGreaterThan(100);
  });

  it("RevertCompaction after CompactSession shows what was shown, item for item", async () => {
    let seen = 0;
    await always(async ({ domain }) => {
      const before = await domain.window(everything);
      const { revision } = await compact(domain);
      if (revision === 0) return;
      seen++;
      await revert(domain, revision);
      expect(bytesOf(await domain.window(everything))).toEqual(bytesOf(before));
    }, 30);
    expect(seen).toBeGreaterThan(50);
  });

  it("a summary stands in front of what is younger than the first that it covers", async () => {
    await always(async ({ domain }) => {
      const { window, compaction } = await lookAt(domain);
      const place = window.items.findIndex(({ treatment }) => treatment === Treatment.SUMMARISED);
      if (place === -1 || compaction === undefined) return;
      const first = compaction.covered[0]?.first ?? 0;
      for (const [index, { event }] of window.items.entries()) {
        const group = event?.group ?? 0;
        if (group > 0) expect(index < place).toBe(group < first);
      }
    });
  });
});
