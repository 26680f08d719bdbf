import type { GroupExplanation, TreatmentWord } from "@sessiond/client";
import type { Output } from "../host.ts";
import { type Paint, paintFor } from "../text/colours.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";
import { writeTable } from "../text/table.ts";
import { rangeOf } from "./ranges.ts";
import { wrapped } from "./wrap.ts";

const colours = {
  kept: "green",
  shortened: "yellow",
  summarised: "blue",
  retrieved: "cyan",
  synthetic: "magenta",
  dropped: "red",
} as const satisfies Record<TreatmentWord, Parameters<Paint>[0]>;

const head = ["REVISIONS", "WHAT", "TOKENS", "WHY"] as const;
/** Spaces between four columns. */
const gaps = 6;
/** Columns of the reasons where the terminal leaves none. */
const leastColumns = 8;

/** Writes what became of each group of a window, and why, as a table in the terminal's width. */
export async function writeExplanation(
  output: Output,
  groups: readonly GroupExplanation[],
): Promise<void> {
  const paint = paintFor(output);
  const revisions = groups.map((group) => rangeOf(group.firstRevision, group.lastRevision));
  const treatments = groups.map(({ treatment }) => treatment ?? "unknown");
  const tokens = groups.map((group) => (group.tokens === 0 ? "" : numberText(group.tokens)));
  const widths = [revisions, treatments, tokens].map((cells, column) =>
    Math.max(...[head[column] ?? "", ...cells].map((cell) => cell.length)),
  );
  const taken = widths.reduce((sum, width) => sum + width, gaps);
  const room = output.isTerminal
    ? Math.max(leastColumns, output.columns() - taken)
    : Number.POSITIVE_INFINITY;
  const rows = groups.map(({ treatment, reason }, index) => [
    revisions[index] ?? "",
    paint(treatment === undefined ? "gray" : colours[treatment], treatments[index] ?? ""),
    (tokens[index] ?? "").padStart(widths[2] ?? 0),
    wrapped(safe(reason), room).join("\n"),
  ]);
  await writeTable(output, { head, rows });
}
