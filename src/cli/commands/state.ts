import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Output } from "../host.ts";
import { collect } from "../options.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { paintFor } from "../text/colours.ts";
import { safe } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly remove?: readonly string[];
  readonly requestId?: string;
  readonly output?: string;
}

const help = `
KEY=TEXT sets a text, KEY:=JSON any value. All changes are made together or not at all. Keys that begin
with "user:" are shared by the sessions of a user, those with "app:" by all of the namespace.

Examples:
  sessiond state user-42
  sessiond state user-42 theme=dark user:locale=de 'limits:={"day":5}' --remove draft
  sessiond state user-42 -o json | jq .theme`;

export function addState(program: Command, line: CommandLine): void {
  const command = program
    .command("state")
    .description("show the state of a session, or change keys of it")
    .argument("<session>", "id of the session")
    .argument("[changes...]", "KEY=TEXT or KEY:=JSON")
    .option("--remove <key>", "key to remove; may be given more than once", collect)
    .option("--request-id <id>", "makes the command safe to repeat for 24 hours")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (id: string, changes: readonly string[], flags: Flags) => {
    const patch = patchOf(changes, flags.remove ?? []);
    await withServer(line, flags, (server) => state(server, { id, patch, flags }));
  });
}

async function state(
  { host, sessiond, interruption }: Server,
  { id, patch, flags }: { id: string; patch: JsonObject; flags: Flags },
) {
  const { signal } = interruption;
  const { requestId, output } = flags;
  const session = await sessiond.sessions.get(id, { signal });
  const hasChanges = Object.keys(patch).length > 0;
  const values = hasChanges
    ? await session.patchState(patch, { signal, requestId })
    : await session.getState({ signal });
  const format = outputFormat(output, "text", host.stdout);
  if (format === "text") host.stdout.write(linesOf(host.stdout, values));
  else writeJson(host.stdout, format, values);
  return undefined;
}

/** A key a line, in their order, with its value as JSON. */
function linesOf(output: Output, values: JsonObject): string {
  const paint = paintFor(output);
  return Object.entries(values)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${paint("bold", safe(key))} ${safe(JSON.stringify(value))}\n`)
    .join("");
}

function patchOf(changes: readonly string[], removed: readonly string[]): JsonObject {
  const entries = changes.map(changeOf);
  const all = [...entries, ...removed.map((key): [string, JsonValue] => [key, null])];
  const patch = new Map(all);
  if (patch.size < all.length) throw wrong("a key is given twice; give each once");
  return Object.fromEntries(patch);
}

function changeOf(change: string): [string, JsonValue] {
  const at = change.indexOf("=");
  if (at === -1) throw wrong(`"${change}" is no change; write KEY=TEXT or KEY:=JSON`);
  const text = change.slice(at + 1);
  if (change[at - 1] !== ":") return [change.slice(0, at), text];
  try {
    return [change.slice(0, at - 1), JSON.parse(text) as JsonValue];
  } catch (error) {
    throw wrong(`"${change}" has no JSON behind ":="; for a text write KEY=TEXT`, error);
  }
}

function wrong(message: string, cause?: unknown): CommandError {
  return new CommandError(exitCodes.cannotStart, message, cause);
}
