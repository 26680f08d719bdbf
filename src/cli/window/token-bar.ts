import type { Output } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import { numberText } from "../text/numbers.ts";
import type { Use } from "./uses.ts";

const nameColumns = 12;
const gap = "   ";

/**
 * Draws what a budget goes to: a bar over the width of the terminal, and below it what each part of
 * it is, with its tokens and its share. Without colours every part has a sign of its own.
 */
export function tokenBar(output: Output, uses: readonly Use[]): string {
  const paint = paintFor(output);
  const columns = output.columns();
  const total = uses.reduce((sum, { tokens }) => sum + tokens, 0);
  const signOf = ({ name, sign }: Use) => {
    if (!output.hasColours) return sign;
    return name === "free" ? "░" : "█";
  };
  const cells = cellsOf(
    uses.map(({ tokens }) => tokens),
    columns,
  );
  const bar = uses.map((use, index) => paint(use.colour, signOf(use).repeat(cells[index] ?? 0)));

  const counts = uses.map(({ tokens }) => numberText(tokens));
  const countColumns = Math.max(...counts.map((count) => count.length));
  const entries = uses.map((use, index) => {
    const count = (counts[index] ?? "").padStart(countColumns);
    const share = `${((100 * use.tokens) / total).toFixed(1)}%`.padStart(6);
    return `${paint(use.colour, signOf(use))} ${use.name.padEnd(nameColumns)} ${count} ${share}`;
  });
  const entryColumns = 2 + nameColumns + 1 + countColumns + 7;
  const across = Math.max(1, Math.floor((columns + gap.length) / (entryColumns + gap.length)));
  return `${bar.join("")}\n${rows(entries, across)}`;
}

/**
 * Shares out the cells of a bar: by the amounts, but at least one for each. `columns` is no less than
 * the number of amounts, none of which is 0.
 */
export function cellsOf(amounts: readonly number[], columns: number): number[] {
  const total = amounts.reduce((sum, amount) => sum + amount, 0);
  const exact = amounts.map((amount) => (amount / total) * columns);
  const cells = exact.map((share) => Math.max(1, Math.floor(share)));
  // What rounding left over goes to, or comes from, the part that is furthest from its share.
  for (let left = columns - cells.reduce((sum, cell) => sum + cell, 0); left !== 0; ) {
    const step = Math.sign(left);
    const lacks = exact.map((share, index) => {
      const cell = cells[index] ?? 0;
      return step < 0 && cell === 1 ? Number.NEGATIVE_INFINITY : (share - cell) * step;
    });
    const at = lacks.indexOf(Math.max(...lacks));
    cells[at] = (cells[at] ?? 0) + step;
    left -= step;
  }
  return cells;
}

function rows(entries: readonly string[], across: number): string {
  let text = "";
  for (let at = 0; at < entries.length; at += across) {
    text += `${entries.slice(at, at + across).join(gap)}\n`;
  }
  return text;
}
