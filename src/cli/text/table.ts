import type { Output } from "../host.ts";
import { paintFor } from "./colours.ts";

/** Writes a table without rules between rows. Cells may hold colours, but no foreign controls. */
export async function writeTable(
  output: Output,
  table: { head: readonly string[]; rows: readonly (readonly string[])[] },
): Promise<void> {
  const { default: Table } = await import("cli-table3");
  const paint = paintFor(output);
  const none = { top: "", "top-mid": "", "top-left": "", "top-right": "" };
  const noBottom = { bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "" };
  const noSides = { left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "" };
  const grid = new Table({
    head: table.head.map((cell) => paint("bold", cell)),
    chars: { ...none, ...noBottom, ...noSides, middle: "  " },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
  });
  grid.push(...table.rows.map((row) => [...row]));
  const lines = grid.toString().split("\n");
  output.write(`${lines.map((line) => line.trimEnd()).join("\n")}\n`);
}
