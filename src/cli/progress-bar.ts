import type { Output } from "./host.ts";
import { paintFor } from "./text/colours.ts";

/** Shows how far long work is. */
export interface ProgressBar {
  /** Says how much is done, between 0 and 1, and what was done in words. */
  update(share: number, words: string): void;
  /** Takes the bar away. */
  clear(): void;
}

const width = 30;
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
  return {
    update(share, words) {
      const nowMs = performance.now();
      if (share < 1 && nowMs - lastMs < minIntervalMs) return;
      lastMs = nowMs;
      const full = Math.round(Math.min(1, Math.max(0, share)) * width);
      const bar = paint("green", "━".repeat(full)) + paint("gray", "─".repeat(width - full));
      const percent = `${Math.floor(share * 100)}`.padStart(3);
      const room = Math.max(0, output.columns() - width - 7);
      output.write(`\r${bar} ${percent}% ${words.slice(0, room)}\x1b[K`);
    },
    clear() {
      if (lastMs !== Number.NEGATIVE_INFINITY) output.write("\r\x1b[K");
    },
  };
}
