import type { ImportedSession, ImportOptions, Sessiond } from "@sessiond/client";
import { BundleError, type BundleSummary, parseBundleLine } from "@sessiond/client/bundle";
import type { TextLine } from "../../bundle/read-lines.ts";
import { SummaryCounter } from "../../bundle/summary.ts";
import { LineSource } from "./line-source.ts";
import { skipSession } from "./skip-session.ts";

export interface BundleImportOptions {
  readonly onConflict: NonNullable<ImportOptions["onConflict"]>;
  readonly dryRun: boolean;
  readonly keep: boolean;
  /** Sessions that are there already, just as they are in the bundle, are passed over. */
  readonly resume: boolean;
  /** New names, by those in the bundle. */
  readonly renames: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** What became of one session of a bundle. */
export interface BundleSession {
  /** Its name in the bundle. */
  readonly name: string;
  /** Line it begins on. */
  readonly line: number;
  readonly result:
    | { readonly imported: ImportedSession }
    /** It was there before, just as it is in the bundle. */
    | { readonly present: true }
    | { readonly problem: { readonly line: number; readonly text: string } };
}

/**
 * Imports the sessions of a bundle one after another, each whole or not at all.
 *
 * Errors: BundleError where the bundle itself is wrong, with what comes behind left out; those of the
 * server that are not about one session.
 */
export async function* importBundle(
  sessiond: Sessiond,
  lines: AsyncIterable<TextLine>,
  options: BundleImportOptions,
): AsyncGenerator<BundleSession> {
  await using source = new LineSource(lines);
  const manifest = await source.next();
  if (
    manifest === undefined ||
    parseBundleLine(manifest.text, manifest.number).kind !== "manifest"
  ) {
    throw new BundleError(manifest?.number ?? 1, "a bundle begins with its manifest");
  }
  const counter = new SummaryCounter();
  for (;;) {
    const line = await source.next();
    if (line === undefined) {
      throw new BundleError(source.number + 1, "the summary is missing; the file was cut off");
    }
    const parsed = parseBundleLine(line.text, line.number);
    if (parsed.kind === "summary") {
      await checkEnd(source, parsed.value, line.number, counter.summary());
      return;
    }
    if (parsed.kind !== "session") {
      throw new BundleError(
        line.number,
        `${parsed.kind === "manifest" ? "a second manifest" : `an ${parsed.kind} outside of a session`}`,
      );
    }
    const { sessionId } = parsed.value;
    source.begin(line);
    const result = await importOne({ sessiond, source, sessionId, begins: line.number, options });
    // What the server did not want to hear is still to be passed over.
    const end = await skipSession(source);
    if (end !== undefined) counter.add({ sessionId, ...end });
    yield { name: sessionId, line: line.number, result };
  }
}

async function checkEnd(
  source: LineSource,
  said: BundleSummary,
  line: number,
  found: BundleSummary,
): Promise<void> {
  for (const key of ["sessions", "events", "sha256"] as const) {
    if (said[key] === found[key]) continue;
    throw new BundleError(
      line,
      `the summary says ${said[key]} for ${key}, the file has ${found[key]}`,
    );
  }
  const more = await source.next();
  if (more !== undefined) throw new BundleError(more.number, "something follows the summary");
}

async function importOne(args: {
  sessiond: Sessiond;
  source: LineSource;
  sessionId: string;
  begins: number;
  options: BundleImportOptions;
}): Promise<BundleSession["result"]> {
  const { sessiond, source, sessionId, begins, options } = args;
  const { onConflict, dryRun, keep, signal, renames } = options;
  const name = Object.hasOwn(renames, sessionId) ? (renames[sessionId] ?? sessionId) : sessionId;
  try {
    if (options.resume) {
      const there = await checksumOf(sessiond, name, signal);
      if (there !== undefined) {
        const end = await skipSession(source);
        if (end?.sha256 === there) return { present: true };
        const text = `session "${name}" is there and is another; import it under another name with --rename`;
        return { problem: { line: begins, text } };
      }
    }
    const imported = await sessiond.sessions.import(source.session(), {
      sessionId: name,
      onConflict,
      dryRun,
      keep,
      signal,
    });
    return { imported };
  } catch (error) {
    const problem = problemOf(error, begins);
    if (problem === undefined || signal.aborted) throw error;
    return { problem };
  }
}

/** Checksum of a session that is there; undefined: none is. */
async function checksumOf(
  sessiond: Sessiond,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const session = await sessiond.sessions.get(name, { signal });
    let last = "";
    for await (const line of session.export({ signal })) last = line;
    const end = parseBundleLine(last, 0);
    return end.kind === "end" ? end.value.sha256 : undefined;
  } catch (error) {
    if ((error as { reason?: unknown }).reason === "SESSION_NOT_FOUND") return undefined;
    throw error;
  }
}

/** What is wrong with this one session; undefined: the next would fail the same way. */
function problemOf(error: unknown, begins: number): { line: number; text: string } | undefined {
  // The stream of lines counts from the first of the session.
  if (error instanceof BundleError) {
    return { line: begins + error.line - 1, text: error.message.replace(/^line \d+: /, "") };
  }
  const { reason, revision, message } = error as {
    reason?: unknown;
    revision?: unknown;
    message?: unknown;
  };
  switch (reason) {
    case "IMPORT_INVALID":
      return { line: begins + (Number(revision) || 0), text: String(message) };
    case "SESSION_ALREADY_EXISTS":
    case "SESSION_LOG_FULL":
    case "INVALID_FIELD":
    case "NOT_SUPPORTED":
    case "REQUEST_TOO_LARGE":
    case "SESSION_QUOTA_EXCEEDED":
    case "NAMESPACE_FULL":
      return { line: begins, text: String(message) };
    default:
      return undefined;
  }
}
