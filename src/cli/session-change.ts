import { toJson } from "@bufbuild/protobuf";
import type { Session } from "@sessiond/client";
import { SessionSchema } from "@sessiond/contract";
import type { DataOutput } from "./host.ts";
import { outputFormat, writeJson } from "./output-format.ts";
import { safe } from "./text/safe.ts";

/**
 * Prints a session that a command was to change. `unchanged` says why it was left as it was; undefined
 * when it was not. `note` says more about it; default: nothing.
 */
export function printChange(
  output: DataOutput,
  session: Session,
  {
    format,
    unchanged,
    note,
  }: {
    readonly format: string | undefined;
    readonly unchanged: string | undefined;
    readonly note?: string;
  },
): void {
  const chosen = outputFormat(format, "text", output);
  if (chosen !== "text") {
    writeJson(output, chosen, toJson(SessionSchema, session.message));
    return;
  }
  const { message, state = "unknown" } = session;
  const facts = [state, `${message.headRevision} events`, note].filter(Boolean).join(", ");
  const why = unchanged === undefined ? "" : `; ${unchanged}, nothing was changed`;
  output.write(`${safe(message.sessionId)}: ${facts}${why}\n`);
}
