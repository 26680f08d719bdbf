import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Progress, runCampaign } from "./campaign.ts";

const shownViolations = 20;

const { values } = parseArgs({
  options: { cycles: { type: "string" }, seed: { type: "string" } },
});
const cycles = Number(values.cycles ?? 20);
const seed = Number(values.seed ?? Date.now() % 1_000_000);
if (!Number.isInteger(cycles) || cycles < 1 || !Number.isInteger(seed)) {
  process.stderr.write("usage: npm run test:robustness -- [--cycles N] [--seed S]\n");
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), "sessiond-robustness-"));
process.stdout.write(`${cycles} cycles, seed ${seed}\n`);
const isWell = await runCampaign({ folder, cycles, seed, onCycle: print }).then(
  (progress) => {
    for (const { promise, what } of progress.violations.slice(0, shownViolations)) {
      process.stdout.write(`  ${promise}: ${what}\n`);
    }
    return progress.violations.length === 0;
  },
  (error: unknown) => {
    process.stdout.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    return false;
  },
);
if (isWell) {
  await rm(folder, { recursive: true });
  process.stdout.write("every promise held\n");
} else {
  process.stdout.write(
    `failed; the data and the record are in ${folder}; again with: npm run test:robustness -- --cycles ${cycles} --seed ${seed}\n`,
  );
}
process.exit(isWell ? 0 : 1);

function print(progress: Progress): void {
  const { cycle, acknowledgedEvents, unknownOutcomes, appliedUnknowns, violations } = progress;
  process.stdout.write(
    `cycle ${cycle}/${cycles}: ${acknowledgedEvents} events acknowledged, ${unknownOutcomes} outcomes unknown (${appliedUnknowns} applied), ${violations.length} violations\n`,
  );
}
