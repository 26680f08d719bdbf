import type { Output } from "./host.ts";
import { paintFor } from "./text/colours.ts";

/** Shows how far long work is. */
export interface ProgressBar {
  /**
   * Says how much is done, between 0 and 1, and what was done in words. Undefined: nobody knows how
   * much there is; a piece of the bar moves along.
   */
  update(share: number | undefined, words: string): void;
  /** Takes the bar away. */
  clear(): void;
}

const width = 30;
/** Of this, the piece that moves when it is not known how much there is. */
const pieceWidth = 6;
/** A terminal needs no more pictures a second, and drawing costs. */
const minIntervalMs = 50;

/**
 * A progress bar on the last line of a terminal; elsewhere it shows nothing.
 *
 * It leaves stdin and signals alone, so Ctrl+C stays an interrupt.
 */
export function progressBar(output: Output): ProgressBar {
  if (!output.isTerminal) return { update() {}, clear() {} };
  const paint = paintFor(output);
  let lastMs = Number.NEGATIVE_INFINITY;
  let pictures = 0;
  let isShown = false;
  return {
    update(share, words) {
      const nowMs = performance.now();
      if ((share ?? 0) < 1 && nowMs - lastMs < minIntervalMs) return;
      lastMs = nowMs;
      pictures += 1;
      isShown = true;
      const from = share === undefined ? pictures % (width - pieceWidth + 1) : 0;
      const full =
        share === undefined ? pieceWidth : Math.round(Math.min(1, Math.max(0, share)) * width);
      const line = (length: number) => paint("gray", "─".repeat(length));
      const bar = line(from) + paint("green", "━".repeat(full)) + line(width - from - full);
      const percent = share === undefined ? "" : `${Math.floor(share * 100)}%`;
      const room = Math.max(0, output.columns() - width - 7);
      output.write(`\r${bar} ${percent.padStart(4)} ${words.slice(0, room)}\x1b[K`);
    },
    clear() {
      if (isShown) output.write("\r\x1b[K");
      isShown = false;
    },
  };
}
