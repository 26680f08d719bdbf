import type { CleanupActionWord, CleanupTotals } from "@sessiond/client";
import { type Command, Option } from "commander";
import type { CommandLine } from "../command-line.ts";
import { exitCodes } from "../exit-codes.ts";
import { count, duration, share } from "../options.ts";
import { jsonWriter, outputFormat, outputOption } from "../output-format.ts";
import { progressBar } from "../progress-bar.ts";
import { addServerOptions, type Server, type ServerFlags, withServer } from "../server.ts";
import { childrenText, numberText, sessionsText } from "../text/numbers.ts";
import { safe } from "../text/safe.ts";

interface Flags extends ServerFlags {
  readonly idle?: number;
  readonly age?: number;
  readonly errorRate?: number;
  readonly minRequests?: number;
  readonly filter?: string;
  readonly action?: CleanupActionWord;
  readonly dryRun?: true;
  readonly output?: string;
}

const actionWords = {
  expire: "ended as expired",
  fail: "ended as failed",
  delete: "deleted",
} satisfies Record<CleanupActionWord, string>;

const help = `
All criteria that are given must match; without any, sessions go that were idle for 30 minutes. Nothing
is asked: see with --dry-run first. Running the command again finds what is left. A filter is an
expression in CEL over "session"; proto/sessiond/v1/session_service.proto lists its fields.

With --action delete the children of a session go with it.

Examples:
  sessiond cleanup --dry-run                            which sessions were idle for 30 minutes
  sessiond cleanup --age 30d --action delete            sessions of the last month stay
  sessiond cleanup --error-rate 0.5 --min-requests 10 --action fail
  sessiond cleanup --filter 'session.labels.tier == "trial" && session.tokens < 100'
  sessiond cleanup --idle 2h | jq -r .sessionId         which ones it were`;

export function addCleanup(program: Command, line: CommandLine): void {
  const command = program
    .command("cleanup")
    .description("end or delete sessions that are idle, old, failing, or match a filter")
    .option("--idle <duration>", "without an event for so long, such as 30m or 7d", duration)
    .option("--age <duration>", "created so long ago", duration)
    .option("--error-rate <share>", "more than this share of their requests failed, 0 to 1", share)
    .option("--min-requests <number>", "requests --error-rate needs to tell (default 1)", count)
    .option("--filter <expression>", "for which this is true, in CEL")
    .addOption(
      new Option("--action <action>", "what becomes of them (default expire)").choices(
        Object.keys(actionWords),
      ),
    )
    .option("--dry-run", "say which, and change nothing")
    .addOption(outputOption("text"))
    .addHelpText("after", help);
  addServerOptions(command);
  command.action((flags: Flags) => withServer(line, flags, (server) => cleanup(server, flags)));
}

async function cleanup({ host, sessiond, interruption }: Server, flags: Flags) {
  const { action = "expire", dryRun = false } = flags;
  const format = outputFormat(flags.output, "text", host.stdout);
  const writer = format === "text" ? undefined : jsonWriter(host.stdout, format);
  const bar = progressBar(host.stderr);
  let totals: CleanupTotals | undefined;
  const work = sessiond.sessions.cleanup({
    idleMs: flags.idle,
    ageMs: flags.age,
    minErrorRate: flags.errorRate,
    minRequests: flags.minRequests,
    filter: flags.filter,
    action,
    dryRun,
    signal: interruption.signal,
    onProgress: ({ phase, total, ...counts }) => {
      const isChecking = phase === "checking";
      if (!isChecking) totals = counts;
      const part = total === undefined ? undefined : counts.scanned / Math.max(1, total);
      const doing = isChecking ? "trying the filter" : progressText(counts, action, dryRun);
      bar.update(part, `${numberText(counts.scanned)} sessions, ${doing}`);
    },
  });
  try {
    for await (const match of work) {
      if (interruption.signal.aborted) break;
      const { sessionId, why, changed } = match;
      if (writer !== undefined) {
        await writer.write({ sessionId, why, changed });
        continue;
      }
      bar.clear();
      const done = dryRun ? `would be ${actionWords[action]}` : actionWords[action];
      const words =
        dryRun || changed ? `${done}, ${why}` : "left alone, it does not match any more";
      host.stdout.write(`${safe(sessionId)}: ${words}\n`);
      await host.stdout.drained();
    }
    writer?.end();
  } finally {
    bar.clear();
    if (totals !== undefined) host.stderr.write(`${summary(totals, action, dryRun)}\n`);
  }
  const isIncomplete = totals !== undefined && totals.failed > 0;
  return interruption.exitCode() ?? (isIncomplete ? exitCodes.incomplete : exitCodes.done);
}

function progressText(totals: CleanupTotals, action: CleanupActionWord, dryRun: boolean): string {
  const { matched, changed } = totals;
  return dryRun ? `${numberText(matched)} match` : `${numberText(changed)} ${actionWords[action]}`;
}

function summary(totals: CleanupTotals, action: CleanupActionWord, dryRun: boolean): string {
  const { scanned, matched, changed, failed, childCount } = totals;
  const left = matched - changed;
  return [
    dryRun
      ? `${sessionsText(matched)} would be ${actionWords[action]}`
      : `${sessionsText(changed)} ${actionWords[action]}`,
    ...(childCount > 0 ? [`with ${childrenText(childCount)}`] : []),
    `looked at ${numberText(scanned)}`,
    ...(left > 0 && !dryRun
      ? [`${numberText(left)} ${left === 1 ? "was" : "were"} left alone`]
      : []),
    ...(failed > 0 ? [`${numberText(failed)} could not be read, see the server's log`] : []),
  ].join("; ");
}
