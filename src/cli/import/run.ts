import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { SessionFields } from "@sessiond/client";
import { exitCodes } from "../exit-codes.ts";
import type { Host } from "../host.ts";
import type { Interruption } from "../interruption.ts";
import { progressBar } from "../progress-bar.ts";
import { safe } from "../text/safe.ts";
import { ItemError, textAt } from "./format.ts";
import { type FileFormat, type FormatName, fileFormat } from "./formats.ts";
import { type SessionImport, SessionTakenError } from "./import-session.ts";
import { type Read, type SessionRecord, stem } from "./records.ts";

/** How sessions are made of what is read. */
export interface ImportFlags {
  readonly format: FormatName;
  readonly session?: string;
  readonly prefix?: string;
  readonly agent?: string;
  readonly user?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly dryRun?: true;
}

export interface ImportFile {
  /** As the user wrote it. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** Sessions written at once; their commits share disk syncs. */
const sessionsAtOnce = 8;

/**
 * Imports files: reads, converts, stores. Prints a JSON line for each session unless stdout is a
 * terminal, a progress bar and a summary on stderr, and each problem with its file and line.
 *
 * A problem with one session leaves the others alone; a server that is gone ends everything.
 */
export async function runImport(args: {
  host: Host;
  interruption: Interruption;
  files: readonly ImportFile[];
  flags: ImportFlags;
  /** Stores a session; says whether any of it is new. */
  store: (work: SessionImport) => Promise<boolean>;
}): Promise<number> {
  const { host, interruption, files, flags, store } = args;
  const { signal } = interruption;
  const format = fileFormat(flags.format);
  const bar = progressBar(host.stderr);
  const totals = { sessions: 0, events: 0, known: 0, problems: 0 };
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  let earlierBytes = 0;
  let failure: { readonly error: unknown } | undefined;

  const report = (place: string, problem: string) => {
    totals.problems += 1;
    bar.clear();
    host.stderr.write(`${safe(place)}: ${safe(problem)}\n`);
  };
  const importOne = async (file: ImportFile, read: Read) => {
    const place = `${file.name}:${"bad" in read ? read.bad.line : read.record.line}`;
    if ("bad" in read) {
      report(place, read.bad.problem);
      return;
    }
    try {
      const work = toImport(read.record, flags, format);
      const isNew = await store(work);
      const { sessionId, line, events } = work;
      totals.sessions += 1;
      totals.events += events.length;
      if (!isNew) totals.known += 1;
      if (!host.stdout.isTerminal) {
        const result = { sessionId, file: file.name, line, events: events.length, isNew };
        host.stdout.write(`${JSON.stringify(result)}\n`);
      }
      const words = `${totals.sessions} sessions, ${totals.events} events`;
      bar.update((earlierBytes + read.endByte) / Math.max(1, totalBytes), words);
    } catch (error) {
      if (error instanceof ItemError) report(`${file.name}:${error.line}`, error.message);
      else if (isOfThisSession(error)) report(place, error.message);
      else failure ??= { error };
    }
  };

  const running = new Set<Promise<void>>();
  for (const file of files) {
    try {
      for await (const read of format.read(file.path)) {
        if (signal.aborted || failure !== undefined) break;
        const task = importOne(file, read).finally(() => running.delete(task));
        running.add(task);
        if (running.size >= sessionsAtOnce) await Promise.race(running);
        await host.stdout.drained();
      }
    } catch (error) {
      report(file.name, (error as Error).message);
    }
    await Promise.all(running);
    earlierBytes += file.bytes;
  }
  bar.clear();
  host.stderr.write(`${summary(totals, flags)}\n`);
  if (failure !== undefined || signal.aborted) {
    host.stderr.write("run the same command again: what is imported is not imported twice\n");
  }
  if (failure !== undefined && !signal.aborted) throw failure.error;
  return interruption.exitCode() ?? (totals.problems > 0 ? exitCodes.incomplete : exitCodes.done);
}

function summary(
  totals: { sessions: number; events: number; known: number; problems: number },
  { dryRun }: ImportFlags,
): string {
  const number = (value: number) => value.toLocaleString("en");
  const counts = `${number(totals.sessions)} sessions, ${number(totals.events)} events`;
  return [
    `${dryRun ? "would import" : "imported"} ${counts}`,
    ...(totals.known > 0 ? [`${number(totals.known)} of the sessions were there before`] : []),
    ...(totals.problems > 0 ? [`${number(totals.problems)} problems`] : []),
  ].join("; ");
}

/** Another session may still be taken after this error. */
function isOfThisSession(error: unknown): error is Error {
  if (error instanceof SessionTakenError) return true;
  const codes = ["INVALID_ARGUMENT", "ABORTED", "ALREADY_EXISTS", "FAILED_PRECONDITION"];
  const { code, reason } = error as { code?: unknown; reason?: unknown };
  return codes.includes(String(code)) || reason === "SESSION_LOG_FULL";
}

/** Errors: ItemError. */
function toImport(
  record: SessionRecord,
  flags: ImportFlags,
  { format }: FileFormat,
): SessionImport {
  const { file, line, name, items, document } = record;
  if (flags.session !== undefined && name !== stem(file)) {
    throw new ItemError(line, "--session names one session, the file holds more; use --prefix");
  }
  const events = format.toEvents(items);
  if (events.length === 0) throw new ItemError(line, "it holds no messages");
  const newName = format.newName?.(name, items) ?? name;
  const sessionId = flags.session ?? `${flags.prefix ?? ""}${newName}`;
  const model = textAt(document, "model");
  const fields = {
    ...format.toFields?.(document),
    ...(model === "" ? {} : { model }),
    ...(flags.agent === undefined ? {} : { agentId: flags.agent }),
    ...(flags.user === undefined ? {} : { userId: flags.user }),
    ...(flags.label === undefined ? {} : { labels: { ...flags.label } }),
    metadata: scalarsOf(document),
  } satisfies SessionFields;
  return { sessionId, fields, events, file, line };
}

/** Longer texts of a document are content, and metadata is small. */
const scalarLength = 1_000;

/** What a recording says about itself beside its messages, for example a task's number. */
function scalarsOf(document: JsonObject): JsonObject {
  const isScalar = (value: JsonValue) =>
    typeof value === "string" ? value.length <= scalarLength : typeof value !== "object";
  const isElsewhere = (name: string) => ["instructions", "system", "model"].includes(name);
  const scalars = Object.entries(document).filter(
    ([name, value]) => isScalar(value) && !isElsewhere(name),
  );
  return Object.fromEntries(scalars);
}
