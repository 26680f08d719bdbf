import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { formatNames } from "../import/formats.ts";
import { importSession, type SessionImport } from "../import/import-session.ts";
import { type ImportFlags, runImport } from "../import/run.ts";
import { spool } from "../import/spool.ts";
import { type Interruption, listenForInterruption } from "../interruption.ts";
import { keyValue } from "../options.ts";
import { addServerOptions, type ServerFlags, withServer } from "../server.ts";

interface Flags extends ServerFlags, ImportFlags {
  readonly dryRun?: true;
}

const stdinName = "-";

const help = `
A file is JSON lines with a session on each, or one list of messages. Without FILE, or with "-", that
comes from stdin, which counts as a file of the name "stdin". Sessions are named after file and line. Each event keeps the provider's own item byte for byte. Running the command again imports
what is missing and nothing twice. Lines that are wrong are named, and the others are imported.

Examples:
  sessiond import --format openai-chat runs.jsonl
  sessiond import --format anthropic --session user-42 conversation.json
  sessiond import --format transcript --label source=support calls/*.txt
  zcat runs.jsonl.gz | sessiond import --format openai-chat --prefix monday/ -
  sessiond import --format openai-chat --dry-run runs.jsonl`;

export function addImport(program: Command, line: CommandLine): void {
  const command = program
    .command("import")
    .description("import recorded conversations as sessions")
    .argument("[file...]", 'files to read; "-" is stdin')
    .addOption(
      new Option("--format <format>", "what the files hold")
        .choices([...formatNames])
        .makeOptionMandatory(),
    )
    .option("--session <id>", "id of the session; the files must hold just one")
    .option("--prefix <text>", "put this before the ids made of file and line")
    .option("--agent <id>", "agent of the new sessions")
    .option("--user <id>", "user of the new sessions")
    .option("--label <key=value>", "label of the new sessions; may be repeated", keyValue)
    .option("--dry-run", "read and check everything, store nothing, ask no server")
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (names: string[], flags: Flags) => {
    if (flags.session !== undefined && names.length > 1) {
      throw new CommandError(exitCodes.cannotStart, "--session names one session, so one file");
    }
    if (names.length === 0 && line.host.stdin.isTerminal) {
      throw new CommandError(exitCodes.cannotStart, "name the files to import, or pipe them in");
    }
    await importFiles(line, names.length === 0 ? [stdinName] : names, flags);
  });
}

async function importFiles(line: CommandLine, names: readonly string[], flags: Flags) {
  const { host } = line;
  const { cwd, stdin } = host;
  // Before stdin is read, which may be long.
  const files = await Promise.all(
    names.filter((name) => name !== stdinName).map((name) => checkedFile(cwd, name)),
  );
  const run = async (
    interruption: Interruption,
    store: (work: SessionImport) => Promise<boolean>,
  ) => {
    await using spooled = names.includes(stdinName)
      ? await spool(stdin, interruption.signal)
      : undefined;
    const all = spooled === undefined ? files : [...files, spooled.file];
    return await runImport({ host, interruption, files: all, flags, store });
  };
  if (flags.dryRun) {
    using interruption = listenForInterruption(host);
    line.endsWith(await run(interruption, async () => true));
    return;
  }
  await withServer(line, flags, ({ sessiond, interruption }) =>
    run(interruption, (work) => importSession(sessiond, work, interruption.signal)),
  );
}

/** A file with its size. Errors: CommandError when it cannot be read. */
async function checkedFile(cwd: string, name: string) {
  const path = resolve(cwd, name);
  try {
    const stats = await stat(path);
    if (stats.isFile()) return { name, path, bytes: stats.size };
  } catch (error) {
    throw new CommandError(exitCodes.cannotStart, `cannot read ${name}: ${reasonOf(error)}`, error);
  }
  throw new CommandError(
    exitCodes.cannotStart,
    `cannot read ${name}: it is no file; pipe it in with "-"`,
  );
}

function reasonOf(error: unknown): string {
  return (error as Error).message.replace(/,.*/, "");
}
