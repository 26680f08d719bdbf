import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Progress, runCampaign } from "./campaign.ts";
import { churnCommand } from "./churn/command.ts";

const shownViolations = 20;

const { values } = parseArgs({
  options: {
    cycles: { type: "string" },
    seed: { type: "string" },
    churn: { type: "boolean" },
    minutes: { type: "string" },
    sessions: { type: "string" },
  },
});
const cycles = Number(values.cycles ?? 20);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
const minutes = Number(values.minutes ?? 20);
const sessionsPerWave = Number(values.sessions ?? 3_000);
const isWhole = [cycles, seed, sessionsPerWave].every(Number.isInteger);
if (!isWhole || cycles < 1 || sessionsPerWave < 1 || !(minutes > 0)) {
  process.stderr.write(
    "usage: npm run test:robustness -- [--seed S] [--cycles N | --churn [--minutes M] [--sessions N]]\n",
  );
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), "sessiond-robustness-"));
const command = values.churn
  ? `--churn --minutes ${minutes} --sessions ${sessionsPerWave} --seed ${seed}`
  : `--cycles ${cycles} --seed ${seed}`;
process.stdout.write(`${command}\n`);
const isWell = await (values.churn ? churn() : kill()).catch((error: unknown) => {
  process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  return false;
});
if (isWell) {
  await rm(folder, { recursive: true });
  process.stdout.write("every promise held\n");
} else {
  process.stdout.write(
    `failed; the data and the record are in ${folder}; again with: npm run test:robustness -- ${command}\n`,
  );
}
process.exit(isWell ? 0 : 1);

async function kill(): Promise<boolean> {
  const { violations } = await runCampaign({ folder, cycles, seed, onCycle: print });
  for (const { promise, what } of violations.slice(0, shownViolations)) {
    process.stdout.write(`  ${promise}: ${what}\n`);
  }
  return violations.length === 0;
}

function churn(): Promise<boolean> {
  return churnCommand({ data: join(folder, "data"), minutes, sessionsPerWave, seed });
}

function print(progress: Progress): void {
  const { cycle, acknowledgedEvents, unknownOutcomes, appliedUnknowns, violations } = progress;
  process.stdout.write(
    `cycle ${cycle}/${cycles}: ${acknowledgedEvents} events acknowledged, ${unknownOutcomes} outcomes unknown (${appliedUnknowns} applied), ${violations.length} violations\n`,
  );
}
