import { runChurn, type Wave } from "./churn.ts";

const shownFaults = 20;

/** Churns for a time and prints what became of the file. Gives true when nothing was left behind. */
export async function churnCommand(args: {
  readonly data: string;
  readonly minutes: number;
  readonly sessionsPerWave: number;
  readonly seed: number;
}): Promise<boolean> {
  const { minutes, ...rest } = args;
  const churn = await runChurn({ ...rest, durationMs: minutes * 60_000, onWave: printWave });
  const { complaints } = churn;
  const { entries, fileBytes, freeBytes, logBytes, faults } = churn.check;
  print(`${churn.waves.length} waves, ${churn.deletedSessions} sessions deleted`);
  print(`file ${fileBytes} bytes: ${freeBytes} free for new content, ${logBytes} namespace log`);
  print(`entries ${JSON.stringify(entries)}, ${churn.unfreedSessions} freed after the stop`);
  for (const line of complaints) print(`stderr: ${line}`);
  for (const fault of faults.slice(0, shownFaults)) print(`fault: ${fault}`);
  print(`${faults.length} entries of what is gone, ${complaints.length} complaints`);
  return faults.length === 0 && complaints.length === 0;
}

function printWave({ wave, sentSeconds, goneSeconds, fileBytes }: Wave): void {
  const times = `sent in ${sentSeconds.toFixed(1)} s, gone in ${goneSeconds.toFixed(1)} s`;
  print(`wave ${wave}: ${times}, file ${fileBytes} bytes`);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
