import { durationFromMs, timestampDate } from "@bufbuild/protobuf/wkt";
import { LogLevel } from "@sessiond/contract";
import { Argument, type Command } from "commander";
import { logLevels } from "../../telemetry/logger.ts";
import type { CommandLine } from "../command-line.ts";
import { duration } from "../options.ts";
import { addServerAddress, type Server, type ServerFlags, withServer } from "../server.ts";
import { clockTime } from "../text/times.ts";

interface Flags extends ServerFlags {
  readonly for?: number;
}

/** A word of the command line: a level, or back to that of the configuration. */
type Word = (typeof words)[number];
const words = [...logLevels, "configured"] as const;

const help = `
At debug the server logs every call, without content. Nothing is stored: a server starts with the level of
its configuration.

Examples:
  sessiond log-level                        which one it is
  sessiond log-level debug --for 10m        and then that of the configuration again
  sessiond log-level configured             that of the configuration at once`;

export function addLogLevel(program: Command, line: CommandLine): void {
  const command = program
    .command("log-level")
    .description("show or change what a running server logs")
    .addArgument(new Argument("[level]", "the least level that is logged").choices(words))
    .option("--for <time>", "go back to the level of the configuration after 10m, 2h", duration)
    .addHelpText("after", help);
  addServerAddress(command);
  command.action((word: Word | undefined, flags: Flags) =>
    withServer(line, flags, (server) => logLevel(server, word, flags)),
  );
}

async function logLevel(
  { host, sessiond, interruption: { signal } }: Server,
  word: Word | undefined,
  { for: forMs }: Flags,
): Promise<undefined> {
  const { fromConnectError } = await import("@sessiond/client");
  const { server } = sessiond.clients;
  try {
    if (word === undefined) {
      const info = await server.getServerInfo({}, { signal });
      host.stdout.write(`${nameOf(info.server?.logLevel ?? LogLevel.UNSPECIFIED)}\n`);
      return;
    }
    const level = word === "configured" ? LogLevel.UNSPECIFIED : levelOf(word);
    const duration = forMs !== undefined ? { duration: durationFromMs(forMs) } : {};
    const answer = await server.setLogLevel({ level, ...duration }, { signal });
    const { revertTime } = answer;
    const until = revertTime ? ` until ${clockTime(timestampDate(revertTime), new Date())}` : "";
    host.stdout.write(`${nameOf(answer.level)}${until}, was ${nameOf(answer.previousLevel)}\n`);
  } catch (error) {
    throw fromConnectError(error);
  }
}

function levelOf(word: Exclude<Word, "configured">): LogLevel {
  return LogLevel[word.toUpperCase() as Uppercase<typeof word>];
}

function nameOf(level: LogLevel): string {
  return LogLevel[level].toLowerCase();
}
