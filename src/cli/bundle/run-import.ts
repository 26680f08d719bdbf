import { createReadStream } from "node:fs";
import type { Sessiond } from "@sessiond/client";
import { BundleError } from "@sessiond/client/bundle";
import { readTextLines, UnreadableError } from "../../bundle/read-lines.ts";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import type { ImportFile } from "../import/run.ts";
import { progressBar } from "../progress-bar.ts";
import type { Server } from "../server.ts";
import { safe } from "../text/safe.ts";
import { type BundleSession, importBundle } from "./import-bundle.ts";

/** How the sessions of bundles are imported. */
export interface BundleFlags {
  readonly onConflict?: "fail" | "skip" | "new-id";
  readonly rename?: Readonly<Record<string, string>>;
  readonly keep?: true;
  readonly resume?: true;
  readonly dryRun?: true;
}

/**
 * Imports bundles. Prints a JSON line for each session unless stdout is a terminal, a progress bar and
 * a summary on stderr, and each problem with its file and line.
 */
export async function runBundleImport(
  { host, sessiond, interruption }: Server,
  files: readonly ImportFile[],
  flags: BundleFlags,
): Promise<number> {
  const { signal } = interruption;
  const bar = progressBar(host.stderr);
  const totals = { sessions: 0, events: 0, present: 0, problems: 0 };
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  let readBytes = 0;
  const words = () => `${totals.sessions} sessions, ${totals.events} events`;
  const onBytes = (bytes: number) => {
    readBytes += bytes;
    bar.update(readBytes / Math.max(1, totalBytes), words());
  };
  const report = (place: string, problem: string) => {
    totals.problems += 1;
    bar.clear();
    host.stderr.write(`${safe(place)}: ${safe(problem)}\n`);
  };
  let failure: { readonly error: unknown } | undefined;
  for (const file of files) {
    try {
      for await (const session of sessionsOf(sessiond, file, { flags, onBytes, signal })) {
        take(host, { file, session, totals, report });
        await host.stdout.drained();
      }
    } catch (error) {
      if (error instanceof BundleError) {
        report(`${file.name}:${error.line}`, error.message.replace(/^line \d+: /, ""));
      } else if (error instanceof UnreadableError) {
        report(file.name, error.message);
      } else if (!signal.aborted) {
        failure = { error };
      }
    }
    if (failure !== undefined || signal.aborted) break;
  }
  bar.clear();
  host.stderr.write(`${summary(totals, flags)}\n`);
  if (failure !== undefined || signal.aborted) {
    host.stderr.write("run the same command with --resume: what is there is passed over\n");
  }
  if (failure !== undefined) throw failure.error;
  return interruption.exitCode() ?? (totals.problems > 0 ? exitCodes.incomplete : exitCodes.done);
}

function sessionsOf(
  sessiond: Sessiond,
  { path }: ImportFile,
  args: { flags: BundleFlags; onBytes: (bytes: number) => void; signal: AbortSignal },
): AsyncGenerator<BundleSession> {
  const { flags, onBytes, signal } = args;
  return importBundle(sessiond, readTextLines(counted(path, onBytes)), {
    onConflict: flags.onConflict ?? "fail",
    dryRun: flags.dryRun ?? false,
    keep: flags.keep ?? false,
    resume: flags.resume ?? false,
    renames: flags.rename ?? {},
    signal,
  });
}

async function* counted(
  path: string,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of createReadStream(path)) {
    onBytes((chunk as Uint8Array).length);
    yield chunk as Uint8Array;
  }
}

interface Totals {
  sessions: number;
  events: number;
  present: number;
  problems: number;
}

function take(
  host: Host,
  args: {
    file: ImportFile;
    session: BundleSession;
    totals: Totals;
    report: (place: string, problem: string) => void;
  },
): void {
  const { file, session, totals, report } = args;
  const { name, line, result } = session;
  if ("problem" in result) {
    report(`${file.name}:${result.problem.line}`, result.problem.text);
    return;
  }
  const isPresent = "present" in result;
  const outcome = isPresent ? "present" : result.imported.outcome;
  const sessionId = isPresent ? name : result.imported.session.sessionId;
  const events = isPresent ? 0 : result.imported.session.headRevision;
  if (isPresent || outcome === "skipped") totals.present += 1;
  else {
    totals.sessions += 1;
    totals.events += events;
  }
  if (host.stdout.isTerminal) return;
  host.stdout.write(`${JSON.stringify({ sessionId, file: file.name, line, outcome, events })}\n`);
}

function summary({ sessions, events, present, problems }: Totals, { dryRun }: BundleFlags): string {
  const number = (value: number) => value.toLocaleString("en");
  return [
    `${dryRun ? "would import" : "imported"} ${number(sessions)} sessions, ${number(events)} events`,
    ...(present > 0 ? [`${number(present)} were there before`] : []),
    ...(problems > 0 ? [`${number(problems)} problems`] : []),
  ].join("; ");
}
