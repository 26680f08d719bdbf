import { Command, CommanderError, Option } from "commander";
import type { Flags } from "../config.ts";
import { type Setting, settings } from "../config-settings.ts";
import { StartError } from "../errors.ts";
import { version } from "../version.ts";
import { exitCodes } from "./exit-codes.ts";
import type { Host } from "./host.ts";
import { type StartApp, serve } from "./serve.ts";

const examples = `
Examples:
  sessiond                                  listen on 127.0.0.1:7377, keep data in ./.sessiond
  sessiond --listen 8000 --data /var/lib/sessiond
  sessiond --store memory --log-level debug
  sessiond --unix /run/sessiond/socket --probe-listen off

Exit codes:
  0  stopped by a signal, all calls finished or out of time
  1  a defect
  2  wrong usage or configuration, port in use, data folder locked
  3  the store failed; start again (or ended by a signal, when the driver gave way)
`;

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
  const { argv, host, ...overrides } = args;
  let exitCode: number = exitCodes.done;
  const program = createProgram({
    host,
    serve: async (flags) => {
      exitCode = await serve({ flags, host, ...overrides });
    },
  });
  try {
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
    host.stderr.write(`sessiond: ${error instanceof Error ? error.stack : String(error)}\n`);
    return exitCodes.crash;
  }
}

function createProgram(args: { host: Host; serve: (flags: Flags) => Promise<void> }): Command {
  const program = new Command("sessiond")
    .description("Session sidecar for AI agents: durable logs, context windows, live streams.")
    .version(version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => args.host.stdout.write(text),
      writeErr: (text) => args.host.stderr.write(text),
      outputError: (text, write) => write(text.replace(/^error: /, "sessiond: ")),
    })
    .addHelpText("after", `${examples}\nAll options: sessiond serve --help`);

  const command = program
    .command("serve", { isDefault: true })
    .description("run a server (the default)")
    .addHelpText("after", examples)
    .option(
      "--config <file>",
      "YAML or JSON file of settings (default ./sessiond.yaml or ./sessiond.json; env SESSIOND_CONFIG)",
    );
  for (const setting of Object.values(settings)) command.addOption(toOption(setting));
  command.action(() => args.serve(givenFlags(command)));
  return program;
}

function toOption(setting: Setting<unknown>): Option {
  const { flag, help, env, repeats } = setting;
  const fallback = typeof setting.default === "string" && setting.default !== "";
  const notes = fallback ? `default ${setting.default}; env ${env}` : `env ${env}`;
  const option = new Option(flag, `${help} (${notes})`);
  if (repeats) option.argParser((value, before: string[] = []) => [...before, value]);
  return option;
}

/** Only what was typed: commander's own defaults must not beat the environment or the file. */
function givenFlags(command: Command): Flags {
  const given = (name: string) =>
    command.getOptionValueSource(name) === "cli" ? command.getOptionValue(name) : undefined;
  const values = Object.entries(settings).map(([key, { flag }]) => [
    key,
    given(new Option(flag).attributeName()),
  ]);
  return { ...Object.fromEntries(values), config: given("config") };
}
