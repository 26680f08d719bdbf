import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runChurn } from "./churn/churn.ts";

const sessionsPerWave = 120;
const waves = 5;
const timeout = 120_000;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-churn-"));
});
afterEach(() => rm(folder, { recursive: true }));

it("nothing is left of sessions that were deleted and removed", { timeout }, async () => {
  const data = join(folder, "data");
  const churn = await runChurn({ data, waves, sessionsPerWave, seed: 7_377 });
  expect(churn.waves).toHaveLength(waves);
  expect(churn.complaints).toEqual([]);
  const { entries, faults, fileBytes, logBytes } = churn.check;
  expect(faults).toEqual([]);
  // Later waves use the pages that the first ones left; they would take five times as many.
  const [first] = churn.waves;
  expect(fileBytes - logBytes).toBeLessThan(2.5 * (first?.fileBytes ?? 0));
  // The log of the namespace still tells that they were deleted, and what they did stays counted;
  // nothing else is there of them.
  const { meta: _meta, log, rollups, ...others } = entries;
  expect(Object.values(others)).toEqual(Object.values(others).map(() => 0));
  expect(log).toBe(waves * sessionsPerWave);
  expect(rollups).toBeGreaterThan(0);
});
