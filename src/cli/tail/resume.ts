import { quoted } from "../text/shell.ts";

/** What a tail was asked for, as typed. */
export interface TailFlags {
  readonly follow?: true;
  readonly session?: string;
  readonly kind?: readonly string[];
  readonly author?: readonly string[];
  readonly since?: string;
  readonly cursor?: string;
  readonly filter?: string;
  readonly consumer?: string;
  readonly takeOver?: true;
  readonly untilEnded?: true;
  readonly full?: true;
  readonly output?: string;
  readonly address?: string;
  readonly namespace?: string;
}

/**
 * The command that goes on where this one stopped, without gap or repeat. `from` is the time before
 * which events were left out: a duration would mean another one by then.
 */
export function resumeCommand(
  flags: TailFlags,
  place: { cursor: string; from?: Date | undefined },
): string {
  const { cursor, from } = place;
  const words = ["sessiond", "tail"];
  if (flags.follow) words.push("-f");
  if (cursor !== "") words.push("--cursor", cursor);
  // The cursor may be among events that are older.
  if (from !== undefined) words.push("--since", from.toISOString());
  if (flags.session !== undefined) words.push("--session", flags.session);
  if (flags.consumer !== undefined) words.push("--consumer", flags.consumer);
  if (flags.filter !== undefined) words.push("--filter", flags.filter);
  for (const kind of flags.kind ?? []) words.push("--kind", kind);
  for (const author of flags.author ?? []) words.push("--author", author);
  if (flags.untilEnded) words.push("--until-ended");
  if (flags.full) words.push("--full");
  if (flags.output !== undefined) words.push("-o", flags.output);
  if (flags.address !== undefined) words.push("--address", flags.address);
  if (flags.namespace !== undefined) words.push("--namespace", flags.namespace);
  return words.map(quoted).join(" ");
}
