import { describe, expect, it } from "vitest";
import { limits } from "../../../src/limits.ts";
import { parseRollupKey } from "../../../src/store/keys.ts";
import {
  addEncodedCounters,
  count,
  counterAt,
  newCounters,
} from "../../../src/store/rollup-counters.ts";
import { Histogram } from "../../../src/store/rollup-histogram.ts";
import type {
  HourFacts,
  RollupChange,
  RollupKey,
  RollupSeries,
  Store,
} from "../../../src/store/store.ts";
import { addition, creation, deletion, maintainAll, NAMESPACE, rejection } from "../support.ts";
import type { Engine } from "./index.ts";

const all: RollupSeries = { namespace: NAMESPACE, dimension: "all", label: "", value: "" };
const agent: RollupSeries = { ...all, dimension: "agent", value: "planner" };
const gold: RollupSeries = { ...all, dimension: "label", label: "tier", value: "gold" };

function facts(hour: number, events: number, durations: Partial<HourFacts> = {}): HourFacts {
  const counters = newCounters();
  count(counters, "events", events);
  count(counters, "cost", events / 8);
  return { hour, counters, sessionsUs: [], stepsUs: [], ...durations };
}

function adds(series: readonly RollupSeries[], ...hours: readonly HourFacts[]): RollupChange {
  return { series, facts: hours, active: [] };
}

/** Events of each record of counters, active sessions, and numbers of durations. */
async function rollups(store: Store): Promise<string[]> {
  const [found] = await store.records({ table: "rollups", limit: 1_000 });
  return found.map(({ key, content }) => {
    const { dimension, label, value, part, hour } = parseRollupKey(key);
    return `${[dimension, label, value].filter(Boolean).join(" ")} ${part} ${hour}: ${numberIn(part, content as Uint8Array)}`;
  });
}

function numberIn(part: RollupKey["part"], content: Uint8Array): number | undefined {
  if (part === "sessions" || part === "steps") {
    const histogram = new Histogram();
    histogram.addEncoded(content);
    return histogram.total;
  }
  const counters = newCounters();
  addEncodedCounters(counters, content);
  return counters[part === "active" ? counterAt.active : counterAt.events];
}

export function describeRollups({ open, reopen }: Engine): void {
  describe("rollups", () => {
    it("add up what commits bring, under each of their series and hours", async () => {
      const store = await open();
      const created = creation();
      await store.commit({ ...created, rollups: adds([all, agent], facts(5, 2), facts(7, 1)) });
      const more = addition(created);
      const durations = { sessionsUs: [1_000, 2_000], stepsUs: [5] };
      await store.commit({ ...more, rollups: adds([all, gold], facts(7, 3, durations)) });
      expect(await rollups(store)).toEqual([
        "all counters 5: 2",
        "all counters 7: 4",
        "all sessions 7: 2",
        "all steps 7: 1",
        "agent planner counters 5: 2",
        "agent planner counters 7: 1",
        "label tier gold counters 7: 3",
        "label tier gold sessions 7: 2",
        "label tier gold steps 7: 1",
      ]);
      await store.close();
    });

    it("add up over commits at once, also to records that were never read", async () => {
      const store = await open();
      await store.commit({ ...creation(), rollups: adds([all], facts(1, 1)) });
      const kept = reopen === undefined ? store : await reopen(store);
      const changes = Array.from({ length: 40 }, (_, i) => creation({ sessionId: `s${i}` }));
      const commit = (index: number) => {
        const change = changes[index];
        if (change === undefined) throw new RangeError("no such change");
        return kept.commit({ ...change, rollups: adds([all, agent], facts(index % 3, 1)) });
      };
      await Promise.all(changes.map((_, index) => commit(index)));
      const again = reopen === undefined ? kept : await reopen(kept);
      expect(await rollups(again)).toEqual([
        ...["all counters 0: 14", "all counters 1: 14", "all counters 2: 13"],
        ...["agent planner counters 0: 14", "agent planner counters 1: 13"],
        "agent planner counters 2: 13",
      ]);
      await again.close();
    });

    it("are not changed by a commit that is refused", async () => {
      const store = await open();
      const created = creation();
      await store.commit({ ...created, rollups: adds([all], facts(1, 1)) });
      await rejection(store.commit({ ...created, rollups: adds([all], facts(1, 100)) }));
      expect(await rollups(store)).toEqual(["all counters 1: 1"]);
      await store.close();
    });

    it("know how many sessions are active, and keep what was counted when they are gone", async () => {
      const store = await open();
      const created = creation();
      const active = (by: 1 | -1) => [all, agent].map((series) => ({ series, by }));
      await store.commit({
        ...created,
        rollups: { series: [all], facts: [facts(1, 1)], active: active(1) },
      });
      expect(await rollups(store)).toEqual([
        ...["all active 0: 1", "all counters 1: 1", "agent planner active 0: 1"],
      ]);
      const rollupsOfEnd = { series: [], facts: [], active: active(-1) };
      await store.commit({ ...deletion(created), rollups: rollupsOfEnd });
      expect(await rollups(store)).toEqual(["all counters 1: 1"]);
      await store.close();
    });

    it("are removed by name, and begin anew", async () => {
      const store = await open();
      const created = creation();
      const first = { ...facts(3, 9), sessionsUs: [7] };
      await store.commit({ ...created, rollups: adds([all, agent], first) });
      const removes: RollupKey[] = (["counters", "sessions"] as const).map((part) => {
        return { ...agent, part, hour: 3 };
      });
      const uid = "00000000-0000-0000-0000-000000000000";
      const key = { namespace: NAMESPACE, sessionId: "", uid };
      const change = { key, events: [], rollups: { series: [], facts: [], active: [], removes } };
      await store.commit(change);
      expect(await rollups(store)).toEqual(["all counters 3: 9", "all sessions 3: 1"]);
      const again = { ...facts(3, 1), sessionsUs: [1, 2] };
      await store.commit({ ...addition(created), rollups: adds([agent], again) });
      expect((await rollups(store)).slice(2)).toEqual([
        ...["agent planner counters 3: 1", "agent planner sessions 3: 2"],
      ]);
      await store.close();
    });

    it("go when their hours are too old, in every series, and no others", async () => {
      const store = await open();
      const hourMs = 3_600_000;
      const oldest = limits.rollupTtlMs / hourMs;
      const now = 2 * oldest;
      const hours = [now - oldest - 2, now - oldest - 1, now - oldest, now];
      await store.commit({
        ...creation(),
        rollups: {
          series: [all, agent, gold],
          facts: hours.map((hour) => facts(hour, 1)),
          active: [{ series: all, by: 1 }],
        },
      });
      await maintainAll(store, now * hourMs, 2);
      const kept = [now - oldest, now].map((hour) => `counters ${hour}: 1`);
      expect(await rollups(store)).toEqual([
        "all active 0: 1",
        ...["all", "agent planner", "label tier gold"].flatMap((series) =>
          kept.map((record) => `${series} ${record}`),
        ),
      ]);
      await store.close();
    });

    it("keep a namespace, a value and a label from others that begin alike", async () => {
      const store = await open();
      const names: RollupSeries[] = [
        { ...all, namespace: "a" },
        { ...all, namespace: "ab" },
        { ...agent, namespace: "a", value: "x" },
        { ...agent, namespace: "a", value: "xy" },
        { ...gold, namespace: "a", label: "t", value: "ier" },
        { ...gold, namespace: "a", label: "tier", value: "" },
      ];
      await store.commit({
        ...creation(),
        rollups: { series: [], facts: [], active: names.map((series) => ({ series, by: 1 })) },
      });
      const [found] = await store.records({ table: "rollups", limit: 100 });
      expect(found.map(({ key }) => parseRollupKey(key))).toEqual(
        expect.arrayContaining(names.map((series) => ({ ...series, part: "active", hour: 0 }))),
      );
      expect(found).toHaveLength(names.length);
      await store.close();
    });
  });
}
