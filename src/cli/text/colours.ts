import { styleText } from "node:util";
import type { StateWord } from "@sessiond/client";
import type { Output } from "../host.ts";

type Format = Parameters<typeof styleText>[0];

/** Puts colours around a text, or leaves it alone where they are not understood or not wanted. */
export type Paint = (format: Format, text: string) => string;

export function paintFor(output: Output): Paint {
  if (!output.hasColours) return (_, text) => text;
  return (format, text) => styleText(format, text, { validateStream: false });
}

/** The colour of each state: green while it runs and when it went well, red when it did not. */
export const stateColours = {
  created: "cyan",
  active: "green",
  completed: "blue",
  failed: "red",
  cancelled: "yellow",
  timed_out: "red",
  limit_reached: "yellow",
  expired: "gray",
} as const satisfies Record<StateWord, Format>;
