import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { needs } from "../support/needs.ts";
import { canTrace } from "../support/strace.ts";
import { type CampaignOptions, runCampaign } from "./campaign.ts";
import { killWhileSyncing } from "./disasters.ts";

const cycles = 20;
const slowCycles = 5;
const seed = 7_377;
const timeout = 300_000;

it(`every promise holds over ${cycles} kills at random instants`, { timeout }, () =>
  expectPromises({ cycles, seed }),
);

it.skipIf(!needs("strace", canTrace))(
  `every promise holds over ${slowCycles} kills while the disk syncs`,
  { timeout },
  () => expectPromises({ cycles: slowCycles, seed, disaster: killWhileSyncing }),
);

async function expectPromises(options: Omit<CampaignOptions, "folder">): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-robustness-"));
  const { violations, acknowledgedEvents } = await runCampaign({ folder, ...options });
  expect(violations, `the data and the record are in ${folder}`).toEqual([]);
  // Cycles in which nothing was acknowledged would prove nothing.
  expect(acknowledgedEvents).toBeGreaterThan(options.cycles);
  await rm(folder, { recursive: true });
}
