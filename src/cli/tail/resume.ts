import { quoted } from "../text/shell.ts";

/** What a tail was asked for, as typed. */
export interface TailFlags {
  readonly follow?: true;
  readonly session?: string;
  readonly kind?: readonly string[];
  readonly author?: readonly string[];
  readonly since?: string;
  readonly cursor?: string;
  readonly untilEnded?: true;
  readonly full?: true;
  readonly output?: string;
  readonly address?: string;
  readonly namespace?: string;
}

/** The command that goes on where this one stopped, without gap or repeat. */
export function resumeCommand(flags: TailFlags, cursor: string): string {
  const words = ["sessiond", "tail"];
  if (flags.follow) words.push("-f");
  // Nothing was seen yet: what was asked for is where to go on.
  if (cursor !== "") words.push("--cursor", cursor);
  else if (flags.since !== undefined) words.push("--since", flags.since);
  if (flags.session !== undefined) words.push("--session", flags.session);
  for (const kind of flags.kind ?? []) words.push("--kind", kind);
  for (const author of flags.author ?? []) words.push("--author", author);
  if (flags.untilEnded) words.push("--until-ended");
  if (flags.full) words.push("--full");
  if (flags.output !== undefined) words.push("-o", flags.output);
  if (flags.address !== undefined) words.push("--address", flags.address);
  if (flags.namespace !== undefined) words.push("--namespace", flags.namespace);
  return words.map(quoted).join(" ");
}
