import type { DataOutput, Host } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";

/** Shows an answer as it comes. */
export interface AnswerOutput {
  write(text: string): Promise<void>;
  /** Shows what was held back, and ends the line. */
  end(): Promise<void>;
}

/**
 * Writes an answer to stdout: as it is into a pipe; on a terminal nothing in it can steer that, and
 * a mark says that it is awaited.
 */
export function answerOutput({ stdout, stderr }: Host): AnswerOutput {
  const isWaiting = stdout.isTerminal && stderr.isTerminal;
  if (isWaiting) stderr.write(paintFor(stderr)("gray", "…"));
  const write = writerTo(stdout);
  let isMarked = isWaiting;
  const unmark = () => {
    if (isMarked) stderr.write("\r\u001b[K");
    isMarked = false;
  };
  return {
    write: (text) => {
      unmark();
      return write(text);
    },
    end: () => {
      unmark();
      return write(undefined);
    },
  };
}

/** Gives the function that writes pieces of a text; `undefined` ends it. */
function writerTo(output: DataOutput): (text: string | undefined) => Promise<void> {
  let held = "";
  let written = "";
  return async (text) => {
    const all = held + (text ?? "");
    // Half of a pair, or of a line's end, waits for the other half.
    held = text === undefined ? "" : (/[\ud800-\udbff\r]$/.exec(all)?.[0] ?? "");
    const shown = all.slice(0, all.length - held.length);
    written = shown === "" ? written : shown;
    if (shown !== "") output.write(output.isTerminal ? safeText(shown) : shown);
    if (text === undefined && written !== "" && !written.endsWith("\n")) output.write("\n");
    await output.drained();
  };
}

/** As `safe`, but lines stay lines, and tabs stay tabs. */
function safeText(text: string): string {
  return text.replaceAll("\r\n", "\n").replace(/[^\n\t]+/g, safe);
}
