import { textReport } from "../bench/support/report.ts";
import type { Share } from "./shares.ts";

/** Prints shares: tables on a terminal, a JSON line for each in a pipe. */
export function report(shares: readonly Share[], isTerminal: boolean): void {
  if (!isTerminal) {
    for (const share of shares) process.stdout.write(`${JSON.stringify(share)}\n`);
    return;
  }
  textReport.table(
    "% of questions with all their evidence in the window, whole; by budget",
    rows(shares, ({ questions, evidenceIn }) => percent(evidenceIn, questions)),
  );
  textReport.table(
    "% of questions with their answer in the window's text, by budget",
    rows(shares, ({ answers, answersIn }) => percent(answersIn, answers)),
  );
}

function rows(shares: readonly Share[], cell: (share: Share) => string) {
  const byName = new Map<string, Record<string, string | number>>();
  for (const share of shares) {
    const { strategy, compactions, kind, questions, budget } = share;
    const name = JSON.stringify([strategy, compactions, kind]);
    const row = byName.get(name) ?? { strategy, compactions, kind, questions };
    row[`${budget} `] = cell(share);
    byName.set(name, row);
  }
  return [...byName.values()];
}

function percent(count: number, of: number): string {
  return of === 0 ? "–" : ((100 * count) / of).toFixed(1);
}
