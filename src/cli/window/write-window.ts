import type { ContextWindow } from "@sessiond/client";
import type { Host } from "../host.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";
import { writeExplanation } from "./explanation.ts";
import { itemLines } from "./item-lines.ts";
import { tokenBar } from "./token-bar.ts";
import { usesOf } from "./uses.ts";
import { wrapped } from "./wrap.ts";

/** A window, for whatever provider it was rendered. */
export type ShownWindow = Omit<ContextWindow, "rendered">;

/** Draws a window for people: what the tokens go to, and its items, or what became of every group. */
export async function writeWindow(
  { stdout, stderr }: Pick<Host, "stdout" | "stderr">,
  shown: ShownWindow,
  { id, explain }: { id: string; explain: boolean },
) {
  const { tokens, budget, reservedOutput, ratio, encoding, accuracy, headRevision } = shown;
  const facts = [
    `${safe(id)} at revision ${headRevision}:`,
    `${numberText(tokens.total)} of ${numberText(budget - reservedOutput)} tokens,`,
    `${(100 * ratio).toFixed(1)}%, ${encoding}${accuracy === "exact" ? "" : `, ${accuracy}`}`,
  ];
  stdout.write(`${wrapped(facts.join(" "), stdout.columns()).join("\n")}\n`);
  stdout.write(`${tokenBar(stdout, usesOf(shown))}\n`);
  if (explain) await writeExplanation(stdout, shown.groups);
  else stdout.write(itemLines(stdout, shown.items));
  if (shown.items.length === 0) stderr.write("there is nothing in it\n");
}
