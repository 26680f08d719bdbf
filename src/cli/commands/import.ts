import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { readTextLines, UnreadableError } from "../../bundle/read-lines.ts";
import { type BundleFlags, runBundleImport } from "../bundle/run-import.ts";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { formatNames, recognisedFormat } from "../import/formats.ts";
import { importSession, type SessionImport } from "../import/import-session.ts";
import { type ImportFile, type ImportFlags, runImport } from "../import/run.ts";
import { spool } from "../import/spool.ts";
import { type Interruption, listenForInterruption } from "../interruption.ts";
import { keyValue } from "../options.ts";
import { addServerOptions, type ServerFlags, withServer } from "../server.ts";

interface Flags extends ServerFlags, Omit<ImportFlags, "format">, BundleFlags {
  readonly format?: "bundle" | ImportFlags["format"];
  readonly dryRun?: true;
}

const stdinName = "-";

const help = `
A bundle, which "sessiond export" writes, holds sessions whole; each is imported whole or not at all,
and nothing of it is visible before. It may be compressed. --resume passes over what is there already.

Otherwise a file is JSON lines with a session on each, or one list of messages. Without FILE, or with "-", that
comes from stdin, which counts as a file of the name "stdin". Sessions are named after file and line. Each event keeps the provider's own item byte for byte. Running the command again imports
what is missing and nothing twice. Lines that are wrong are named, and the others are imported.

Examples:
  sessiond import backup.jsonl.zst
  sessiond import --dry-run --on-conflict new-id backup.jsonl.zst
  sessiond import --resume --rename user-42=user-43 user-42.jsonl
  sessiond import --format openai-chat runs.jsonl
  sessiond import --format anthropic --session user-42 conversation.json
  sessiond import --format transcript --label source=support calls/*.txt
  zcat runs.jsonl.gz | sessiond import --format openai-chat --prefix monday/ -
  sessiond import --format openai-chat --dry-run runs.jsonl`;

export function addImport(program: Command, line: CommandLine): void {
  const command = program
    .command("import")
    .description("import bundles of sessions, and recorded conversations as sessions")
    .argument("[file...]", 'files to read; "-" is stdin')
    .addOption(
      new Option("--format <format>", "what the files hold (default: as each begins)").choices([
        "bundle",
        ...formatNames,
      ]),
    )
    .option("--session <id>", "id of the session; the files must hold just one")
    .option("--prefix <text>", "put this before the ids made of file and line")
    .option("--agent <id>", "agent of the new sessions")
    .option("--user <id>", "user of the new sessions")
    .option("--label <key=value>", "label of the new sessions; may be repeated", keyValue)
    .option("--dry-run", "read and check everything, store nothing")
    .addOption(
      new Option(
        "--on-conflict <what>",
        "of a bundle: when a name is taken (default fail)",
      ).choices(["fail", "skip", "new-id"]),
    )
    .option("--rename <old=new>", "of a bundle: another name; may be repeated", keyValue)
    .option("--keep", "of a bundle: drop retentions, which may be over")
    .option("--resume", "of a bundle: pass over sessions that are there, just as they are in it")
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
  using interruption = listenForInterruption(host);
  await using spooled = names.includes(stdinName)
    ? await spool(stdin, interruption.signal)
    : undefined;
  const all = spooled === undefined ? files : [...files, spooled.file];
  const byFormat = Map.groupBy(await withFormats(all, flags.format), ({ format }) => format);
  let worst: number = exitCodes.done;
  for (const [format, group] of byFormat) {
    const of = { host, files: group.map(({ file }) => file), flags };
    const code =
      format === "bundle"
        ? await importBundles(line, of)
        : await importConversations(line, { ...of, flags: { ...flags, format } }, interruption);
    worst = Math.max(worst, code);
  }
  line.endsWith(worst);
}

/** Each file with what it holds. Errors: CommandError when that is not to be seen. */
function withFormats(files: readonly ImportFile[], given: Flags["format"]) {
  return Promise.all(
    files.map(async (file) => {
      const format =
        given ?? ((await isBundle(file)) ? "bundle" : await recognisedFormat(file.path));
      if (format !== undefined) return { file, format };
      throw new CommandError(
        exitCodes.cannotStart,
        `cannot see what ${file.name} holds; say it with --format`,
      );
    }),
  );
}

/** How a bundle begins, also one without its manifest, of which it is then said that it lacks. */
const bundleLine =
  /^\s*\{(?:[^{]*"format"\s*:\s*"sessiond-bundle"|\s*"(?:session|event|end)"\s*:\s*\{)/;

async function isBundle({ path }: ImportFile): Promise<boolean> {
  try {
    for await (const { text } of readTextLines(createReadStream(path))) {
      return bundleLine.test(text);
    }
  } catch (error) {
    // Other formats say themselves what is wrong with it.
    if (!(error instanceof UnreadableError)) throw error;
  }
  return false;
}

async function importBundles(
  line: CommandLine,
  args: { files: readonly ImportFile[]; flags: Flags },
): Promise<number> {
  let code: number = exitCodes.done;
  const within = { ...line, endsWith: (ended: number) => (code = ended) };
  await withServer(within, args.flags, (server) => runBundleImport(server, args.files, args.flags));
  return code;
}

async function importConversations(
  line: CommandLine,
  args: { files: readonly ImportFile[]; flags: ServerFlags & ImportFlags },
  interruption: Interruption,
): Promise<number> {
  const { host } = line;
  const run = (work: Interruption, store: (session: SessionImport) => Promise<boolean>) =>
    runImport({ host, interruption: work, ...args, store });
  if (args.flags.dryRun) return run(interruption, async () => true);
  let code: number = exitCodes.done;
  const within = { ...line, endsWith: (ended: number) => (code = ended) };
  await withServer(within, args.flags, ({ sessiond, interruption: work }) =>
    run(work, (session) => importSession(sessiond, session, work.signal)),
  );
  return code;
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
