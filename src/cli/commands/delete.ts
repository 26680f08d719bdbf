import type { DeletedUserData } from "@sessiond/client";
import type { Command } from "commander";
import { CommandError } from "../command-error.ts";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { outputFormat, outputOption, writeJson } from "../output-format.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { childrenText, numberText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly user?: string;
  readonly dryRun?: true;
  readonly allowMissing?: true;
  readonly output?: string;
}

const help = `
The log is gone when the command returns, and so are the children of the session and theirs. It ends with
${exitCodes.notFound} at the first session that does not exist. With --user all sessions of the user go, with their children;
forks of others that share their history are named.

Examples:
  sessiond delete user-42
  sessiond delete --user 42 --dry-run
  sessiond cleanup --age 30d --action delete`;

export function addDelete(program: Command, line: CommandLine): void {
  const command = program
    .command("delete")
    .description("delete sessions with their logs and children")
    .argument("[session...]", "ids of the sessions")
    .option("--user <id>", "all sessions of this user, instead of ids")
    .option("--dry-run", "with --user: count them, delete nothing")
    .option("--allow-missing", "a session that does not exist is no error")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action(async (ids: string[], flags: Flags) => {
    const { user } = flags;
    if ((ids.length === 0) === (user === undefined)) {
      throw new CommandError(
        exitCodes.cannotStart,
        "name the sessions to delete, or a user with --user, not both",
      );
    }
    if (flags.dryRun && user === undefined) {
      throw new CommandError(exitCodes.cannotStart, "--dry-run goes with --user");
    }
    await withServer(line, flags, (server) =>
      user === undefined ? deleteAll(server, ids, flags) : deleteUser(server, user, flags),
    );
  });
}

async function deleteAll({ host, sessiond, interruption }: Server, ids: string[], flags: Flags) {
  const format = outputFormat(flags.output, "text", host.stdout);
  for (const sessionId of ids) {
    const { signal } = interruption;
    const allowMissing = flags.allowMissing === true;
    let childCount = 0;
    const onDeleted = (went: { readonly childCount: number }) => {
      childCount = went.childCount;
    };
    const deleted = await sessiond.sessions.delete(sessionId, { allowMissing, onDeleted, signal });
    const words = deleted ? `deleted${withChildren(childCount)}` : "there was none";
    if (format === "text") host.stdout.write(`${safe(sessionId)}: ${words}\n`);
    else writeJson(host.stdout, format, { sessionId, deleted, childCount });
  }
  return undefined;
}

async function deleteUser(server: Server, userId: string, flags: Flags) {
  const { host, sessiond, interruption } = server;
  const { dryRun = false } = flags;
  const { signal } = interruption;
  const format = outputFormat(flags.output, "text", host.stdout);
  const answer = await sessiond.deleteUserData(userId, { dryRun, signal });
  if (format === "text") host.stdout.write(userText(userId, answer, dryRun));
  else {
    const forks = answer.forks.map((fork) => ({ ...fork }));
    writeJson(host.stdout, format, { userId, ...answer, forks });
  }
  if (answer.failed === 0) return undefined;
  host.stderr.write(
    `${numberText(answer.failed)} sessions could not be read and are still there, see the server's log\n`,
  );
  return exitCodes.incomplete;
}

function withChildren(count: number): string {
  return count === 0 ? "" : `, with ${childrenText(count)}`;
}

function userText(userId: string, answer: DeletedUserData, dryRun: boolean): string {
  const { matched, deleted, forks, forkCount, childCount } = answer;
  const children = childCount === 0 ? "" : `, with ${childrenText(childCount)} of others`;
  const words = dryRun
    ? `${numberText(matched)} sessions would be deleted${children}`
    : `deleted ${numberText(deleted)} sessions${children}`;
  const lines = [`user ${safe(userId)}: ${words}`];
  if (forkCount > 0) {
    lines.push(`${numberText(forkCount)} sessions of others share their history:`);
    for (const { sessionId, parentSessionId } of forks) {
      lines.push(`  ${safe(sessionId)}, a fork of ${safe(parentSessionId)}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
