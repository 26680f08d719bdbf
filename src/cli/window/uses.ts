import type { ContextWindow } from "@sessiond/client";
import type { Paint } from "../text/colours.ts";

/** A part of a window's budget, and how it is drawn. */
export interface Use {
  readonly name: string;
  readonly colour: Parameters<Paint>[0];
  /** Stands for it where there are no colours. */
  readonly sign: string;
  readonly tokens: number;
}

/** What the budget of a window goes to, in the order of the bar; parts without tokens are left out. */
export function usesOf(window: Pick<ContextWindow, "tokens" | "budget" | "reservedOutput">): Use[] {
  const { tokens, budget, reservedOutput } = window;
  const free = Math.max(0, budget - reservedOutput - tokens.total);
  const uses: Use[] = [
    { name: "instructions", colour: "magenta", sign: "#", tokens: tokens.instructions },
    { name: "tools", colour: "magentaBright", sign: "%", tokens: tokens.tools },
    { name: "protected", colour: "yellow", sign: "@", tokens: tokens.protected },
    { name: "summary", colour: "blue", sign: "=", tokens: tokens.summary },
    { name: "tool results", colour: "cyan", sign: "+", tokens: tokens.toolResults },
    { name: "recent", colour: "green", sign: "*", tokens: tokens.recent },
    { name: "dialect", colour: "red", sign: "-", tokens: tokens.overhead },
    { name: "reserved", colour: "white", sign: "~", tokens: reservedOutput },
    { name: "free", colour: "gray", sign: ".", tokens: free },
  ];
  return uses.filter((use) => use.tokens > 0);
}
