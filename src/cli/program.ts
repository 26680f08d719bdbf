import { Command, CommanderError } from "commander";
import { StartError } from "../errors.ts";
import { version } from "../version.ts";
import { CommandError } from "./command-error.ts";
import type { CommandLine } from "./command-line.ts";
import { addAppend } from "./commands/append.ts";
import { addArchive } from "./commands/archive.ts";
import { addBackup } from "./commands/backup.ts";
import { addCancel } from "./commands/cancel.ts";
import { addChat } from "./commands/chat.ts";
import { addCleanup } from "./commands/cleanup.ts";
import { addCompact } from "./commands/compact.ts";
import { addCompletion } from "./commands/completion.ts";
import { addConfig } from "./commands/config.ts";
import { addConsumers } from "./commands/consumers.ts";
import { addDelete } from "./commands/delete.ts";
import { addDiff } from "./commands/diff.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addEnd } from "./commands/end.ts";
import { addExport } from "./commands/export.ts";
import { addFork } from "./commands/fork.ts";
import { addImport } from "./commands/import.ts";
import { addLogLevel } from "./commands/log-level.ts";
import { addMetrics } from "./commands/metrics.ts";
import { addReopen } from "./commands/reopen.ts";
import { addRestore } from "./commands/restore.ts";
import { addRewind } from "./commands/rewind.ts";
import { addSessions } from "./commands/sessions.ts";
import { addShow } from "./commands/show.ts";
import { addStat } from "./commands/stat.ts";
import { addState } from "./commands/state.ts";
import { addTail } from "./commands/tail.ts";
import { addVerify } from "./commands/verify.ts";
import { addWindow } from "./commands/window.ts";
import { exitCodes, exitCodesHelp } from "./exit-codes.ts";
import type { Host } from "./host.ts";
import { type StartApp, serve } from "./serve.ts";
import { addSettings, givenFlags } from "./settings-options.ts";
import { safe } from "./text/safe.ts";

const serveExamples = `
Examples:
  sessiond                                  listen on 127.0.0.1:7377, keep data in ./.sessiond
  sessiond --listen 8000 --data /var/lib/sessiond
  sessiond --store memory --log-level debug
  sessiond --unix /run/sessiond/socket --probe-listen off`;

const examples = `${serveExamples}
  sessiond append user-42 "hello" --create  a first event
  sessiond tail -f                          follow every session live
  sessiond doctor                           what is not well, and what to do about it
${exitCodesHelp}

All options of a command: sessiond <command> --help`;

/**
 * Runs the command line and returns the exit code. Says on stderr in one line what was wrong.
 *
 * `argv` are the arguments alone, without node and script.
 */
export async function run(args: {
  argv: readonly string[];
  host: Host;
  startApp?: StartApp;
}): Promise<number> {
  const { argv, host, startApp } = args;
  let exitCode: number = exitCodes.done;
  const line = {
    host,
    endsWith: (code: number) => {
      exitCode = code;
    },
  };
  try {
    const program = createProgram(line, startApp);
    checkCommand(program, argv);
    await program.parseAsync([...argv], { from: "user" });
    return exitCode;
  } catch (error) {
    // commander has printed its own errors, and help and version end as one as well.
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? exitCodes.done : exitCodes.cannotStart;
    }
    if (error instanceof StartError) {
      host.stderr.write(`sessiond: ${error.message}\n`);
      return exitCodes.cannotStart;
    }
    if (error instanceof CommandError) {
      host.stderr.write(`sessiond: ${safe(error.message)}\n`);
      return error.exitCode;
    }
    host.stderr.write(`sessiond: ${error instanceof Error ? error.stack : String(error)}\n`);
    return exitCodes.crash;
  }
}

/** With a default command, commander takes a mistyped name for an argument of that. */
function checkCommand(program: Command, [name = ""]: readonly string[]): void {
  const names = [...program.commands.map((command) => command.name()), "help"];
  if (name === "" || name.startsWith("-") || names.includes(name)) return;
  const known = names.filter((command) => !command.startsWith("_")).join(", ");
  throw new CommandError(
    exitCodes.cannotStart,
    `there is no command "${name}"; there are ${known}`,
  );
}

function createProgram(line: CommandLine, startApp: StartApp | undefined): Command {
  const { host } = line;
  const program = new Command("sessiond")
    .description("Session sidecar for AI agents: durable logs, context windows, live streams.")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => host.stdout.write(text),
      writeErr: (text) => host.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "sessiond: ")),
    })
    .addHelpText("after", examples);

  const command = program
    .command("serve", { isDefault: true })
    .description("run a server (the default)")
    .addHelpText("after", `${serveExamples}\n${exitCodesHelp}`);
  addSettings(command);
  command.action(async () => {
    const flags = givenFlags(command);
    line.endsWith(await serve({ flags, host, ...(startApp === undefined ? {} : { startApp }) }));
  });

  addTail(program, line);
  addConsumers(program, line);
  addSessions(program, line);
  addShow(program, line);
  addState(program, line);
  addMetrics(program, line);
  addWindow(program, line);
  addChat(program, line);
  addAppend(program, line);
  addExport(program, line);
  addImport(program, line);
  addArchive(program, line);
  addEnd(program, line);
  addCancel(program, line);
  addReopen(program, line);
  addRewind(program, line);
  addFork(program, line);
  addDiff(program, line);
  addDelete(program, line);
  addCleanup(program, line);
  addVerify(program, line);
  addStat(program, line);
  addBackup(program, line);
  addRestore(program, line);
  addCompact(program, line);
  addLogLevel(program, line);
  addConfig(program, line);
  addDoctor(program, line);
  addCompletion(program, line);
  return program;
}
