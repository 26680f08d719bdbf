import type { WindowItem } from "@sessiond/client";
import type { Output } from "../host.ts";
import { type Paint, paintFor } from "../text/colours.ts";
import { colourOf, labelOf, summaryOf } from "../text/event-line.ts";
import { numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";
import { cut, padded, widthOf } from "../text/width.ts";
import { rangeOf } from "./ranges.ts";

/** A text and the colour it has; "" for none. */
interface Span {
  readonly text: string;
  readonly colour: Parameters<Paint>[0] | "";
}

/**
 * Shows the items of a window, one a line, cut to the terminal: revision, voice, tokens, and what it
 * says behind what was done to it. Nothing in them can steer the terminal.
 */
export function itemLines(output: Output, items: readonly WindowItem[]): string {
  const paint = paintFor(output);
  const longest = (texts: readonly string[]) => Math.max(0, ...texts.map(widthOf));
  const revisionOf = ({ event }: WindowItem) => (event.revision === 0 ? "" : `${event.revision}`);
  const tokensOf = ({ tokens }: WindowItem) => numberText(tokens);
  const revisionColumns = longest(items.map(revisionOf));
  const labelColumns = longest(items.map(({ event }) => labelOf(event)));
  const tokenColumns = longest(items.map(tokensOf));
  const indent = revisionColumns + labelColumns + tokenColumns + 6;
  const room = output.isTerminal ? output.columns() - indent : Number.POSITIVE_INFINITY;
  return items
    .map((item) => {
      const { event } = item;
      const cells = [
        paint("gray", revisionOf(item).padStart(revisionColumns)),
        paint(colourOf(event), padded(labelOf(event), labelColumns)),
        tokensOf(item).padStart(tokenColumns),
        fitted(spansOf(item, room), { room, paint }),
      ];
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}

function spansOf(item: WindowItem, room: number): Span[] {
  const { event } = item;
  const marks = [event.kind && `[${event.kind}]`, event.author && `${event.author}:`];
  const failure = colourOf(event) === "red" ? "red" : "";
  const text = summaryOf(event);
  return [
    { text: treatmentMark(item), colour: "yellow" as const },
    ...marks.map((mark) => ({ text: safe(mark), colour: "gray" as const })),
    // A megabyte need not be made safe to show a line of it.
    {
      text: safe(Number.isFinite(room) ? text.slice(0, room + 1) : text),
      colour: failure,
    } as const,
  ].filter((span) => span.text !== "");
}

/** What was done to an item; nothing for one that stands as it was appended. */
function treatmentMark({ treatment, covered }: WindowItem): string {
  if (treatment === "kept") return "";
  const [first, last] = [covered[0], covered.at(-1)];
  const range = first && last && ` ${rangeOf(first.first, last.last)}`;
  return `[${treatment ?? "unknown"}${range ?? ""}]`;
}

/** Texts behind one another, as far as there is room. */
function fitted(spans: readonly Span[], { room, paint }: { room: number; paint: Paint }): string {
  let left = room;
  return spans
    .map(({ text, colour }) => {
      const shown = left > 0 ? cut(text, left) : "";
      left -= widthOf(shown) + 1;
      return shown === "" || colour === "" ? shown : paint(colour, shown);
    })
    .filter((shown) => shown !== "")
    .join(" ");
}
