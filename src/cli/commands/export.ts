import { resolve } from "node:path";
import type { Session, Sessiond, StateWord } from "@sessiond/client";
import { type Command, Option } from "commander";
import { writeFile } from "../../bundle/write-file.ts";
import { bundleTexts, type Written } from "../bundle/export-bundle.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { type ConversationFormat, conversationFormats } from "../export/formats.ts";
import type { Host } from "../host.ts";
import { keyValue } from "../options.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { stateColours } from "../text/colours.ts";

interface Flags extends ServerFlags {
  readonly all?: true;
  readonly state?: StateWord;
  readonly agent?: string;
  readonly user?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly filter?: string;
  readonly output?: string;
  readonly format: "bundle" | ConversationFormat;
  readonly exportedAt?: string;
}

const help = `
A bundle holds sessions whole: their logs with raw items, compactions, protection, times, counters and
ends, and checksums. "sessiond import" takes it. The other formats hold what was said.

FILE is complete when it is there: until then it is FILE.partial. "-" is stdout. A name that ends with
.zst or .gz is compressed. Exports of the same sessions with the same --exported-at are the same bytes.

Examples:
  sessiond export user-42 > user-42.jsonl
  sessiond export --all -o backup.jsonl.zst
  sessiond export --user 42 --state completed --exported-at none -o user-42.jsonl.gz
  sessiond export user-42 --format transcript -o user-42.md
  sessiond export --agent travel --format openai-chat -o runs.jsonl`;

export function addExport(program: Command, line: CommandLine): void {
  const command = program
    .command("export")
    .description("export sessions, whole or as conversations")
    .argument("[session...]", "ids of the sessions")
    .option("--all", "every session of the namespace, oldest first")
    .addOption(new Option("--state <state>", "in this state").choices(Object.keys(stateColours)))
    .option("--agent <id>", "of this agent")
    .option("--user <id>", "of this user")
    .option("--label <key=value>", "with this label; may be repeated", keyValue)
    .option("--filter <expression>", "for which this is true, in CEL over session")
    .option("-o, --output <file>", 'where to write (default "-", stdout)')
    .addOption(
      new Option("--format <format>", "what to write")
        .choices(["bundle", ...Object.keys(conversationFormats)])
        .default("bundle"),
    )
    .option("--exported-at <time>", 'time to note in it, or "none" (default now)')
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((ids: string[], flags: Flags) => {
    checkUsage(ids, flags);
    return withServer(line, flags, (server) => exportSessions(server, ids, flags));
  });
}

function checkUsage(ids: readonly string[], flags: Flags): void {
  const { all, state, agent, user, label, filter, exportedAt } = flags;
  const isFiltered = [all, state, agent, user, label, filter].some((flag) => flag !== undefined);
  if (isFiltered === ids.length > 0) {
    throw new CommandError(
      exitCodes.cannotStart,
      "name the sessions to export, or choose them by --all, --state, --agent, --user, --label or --filter",
    );
  }
  if (exportedAt !== undefined && exportedAt !== "none" && Number.isNaN(Date.parse(exportedAt))) {
    throw new CommandError(
      exitCodes.cannotStart,
      '--exported-at is no time, such as "2026-11-28T08:00:00Z", nor "none"',
    );
  }
}

async function exportSessions(
  { host, sessiond, interruption }: Server,
  ids: string[],
  flags: Flags,
) {
  const { signal } = interruption;
  const { format, output = "-" } = flags;
  const written: Written = { sessions: 0, events: 0 };
  const exportedAt = exportTime(flags.exportedAt);
  const what = {
    sessions: chosen(sessiond, ids, flags, signal),
    namespace: sessiond.namespace,
    exportedAt,
    written,
    signal,
  };
  const texts = format === "bundle" ? bundleTexts(what) : conversationFormats[format](what);
  if (output === "-") await print(host, texts, signal);
  else await save(host, output, texts, signal);
  const { sessions, events } = written;
  const number = (value: number) => value.toLocaleString("en");
  host.stderr.write(`exported ${number(sessions)} sessions, ${number(events)} events\n`);
  return interruption.exitCode();
}

function exportTime(given: string | undefined): string | undefined {
  if (given === "none") return undefined;
  return new Date(given ?? Date.now()).toISOString();
}

async function* chosen(
  sessiond: Sessiond,
  ids: readonly string[],
  { state, agent, user, label, filter }: Flags,
  signal: AbortSignal,
): AsyncGenerator<Session> {
  for (const id of ids) yield await sessiond.sessions.get(id, { signal });
  if (ids.length > 0) return;
  yield* sessiond.sessions.list({
    state,
    agentId: agent,
    userId: user,
    labels: label,
    filter,
    order: "oldest",
    pageSize: 500,
    signal,
  });
}

async function print(host: Host, texts: AsyncIterable<string>, signal: AbortSignal): Promise<void> {
  for await (const text of texts) {
    if (signal.aborted) return;
    host.stdout.write(text);
    await host.stdout.drained();
  }
}

async function save(
  { cwd }: Host,
  output: string,
  texts: AsyncIterable<string>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await writeFile(resolve(cwd, output), texts, signal);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (!/^E[A-Z]+$/.test(code ?? "")) throw error;
    throw new CommandError(exitCodes.cannotStart, `cannot write ${output}: ${message}`, error);
  }
}
