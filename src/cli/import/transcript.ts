import type { EventInput, RoleWord } from "@sessiond/client";
import { ItemError } from "./format.ts";

const roles: Readonly<Record<string, RoleWord>> = {
  user: "user",
  human: "user",
  assistant: "assistant",
  agent: "assistant",
  ai: "assistant",
  system: "system",
  tool: "tool",
};

/**
 * Reads a conversation written down as text: `User: …` begins a message, further lines belong to
 * it. The words are user or human, assistant, agent or ai, system, and tool, in any case.
 *
 * Errors: ItemError when text stands before the first of them.
 */
export function transcriptEvents(text: string): EventInput[] {
  const messages: { role: RoleWord; lines: string[] }[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const match = /^([A-Za-z]+):(?: |$)(.*)$/.exec(line);
    const role = roles[match?.[1]?.toLowerCase() ?? ""];
    const last = messages.at(-1);
    if (role !== undefined) messages.push({ role, lines: [match?.[2] ?? ""] });
    else if (last !== undefined) last.lines.push(line);
    else if (line.trim() !== "") {
      throw new ItemError(index + 1, 'a transcript begins with "User: " or "Assistant: "');
    }
  }
  return messages.map(({ role, lines }) => ({ role, text: lines.join("\n").trim() }));
}
