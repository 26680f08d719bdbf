import type { Session } from "@sessiond/client";
import type { Output } from "../host.ts";
import { paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";
import { durationText, leftAfterActivityMs } from "./time-left.ts";

/** What a chat says about itself, a line each. It goes to stderr: stdout is for answers. */
export interface Status {
  started(session: Session): void;
  resumed(session: Session): void;
  /** `isDurable`: it survives a crash. */
  saved(session: Session, isDurable: boolean): void;
  warn(text: string): void;
  hint(text: string): void;
  note(text: string): void;
  failed(text: string): void;
}

export function statusOn(output: Output): Status {
  const paint = paintFor(output);
  const say = (format: Parameters<typeof paint>[0], text: string) =>
    output.write(`${paint(format, text)}\n`);
  return {
    started: ({ sessionId }) => say("cyan", `🆕 New session: ${safe(sessionId)}`),
    resumed: ({ sessionId, title, message }) => {
      const count = messagesText(message.metrics?.messages ?? 0);
      const name = title === "" ? "" : `, ${safe(title)}`;
      say("cyan", `↩️ Resuming session: ${safe(sessionId)} (${count})${name}`);
    },
    saved: (session, isDurable) => {
      const where = isDurable ? "saved" : "kept in memory, not on disk";
      say("gray", `💾 Session ${where} (${expiryText(session)})`);
      // Between two exchanges, for the eye.
      if (output.isTerminal) output.write("\n");
    },
    warn: (text) => say("yellow", `⚠️ ${text}`),
    hint: (text) => say("yellow", `💡 ${text}`),
    note: (text) => say("gray", text),
    failed: (text) => say("red", `❌ ${text}`),
  };
}

function messagesText(count: number): string {
  return count === 1 ? "1 message" : `${count} messages`;
}

function expiryText(session: Session): string {
  const left = leftAfterActivityMs(session);
  return left === undefined ? "does not expire" : `expires in ${durationText(left)}`;
}
