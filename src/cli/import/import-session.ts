import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { EventInput, Session, Sessiond, SessionFields } from "@sessiond/client";
import { batchesOf } from "./batches.ts";

/** A session to import. */
export interface SessionImport {
  readonly sessionId: string;
  readonly fields: SessionFields;
  readonly events: readonly EventInput[];
  readonly file: string;
  readonly line: number;
}

/** The session holds other events than those of the import. */
export class SessionTakenError extends Error {}

/**
 * Creates a session and appends its events, and is safe to repeat: what is stored is not stored
 * again, and an import that was cut short goes on.
 *
 * Within 24 hours the request ids see to that, which are made of file name, line and place. Later
 * the revisions do: a batch is only taken where it belongs. Resolves to whether any of it is new.
 *
 * Errors: SessionTakenError, and those of an append.
 */
export async function importSession(
  sessiond: Sessiond,
  work: SessionImport,
  signal: AbortSignal,
): Promise<boolean> {
  const { sessionId, fields, events } = work;
  const session = await sessiond.sessions.getOrCreate(sessionId, fields, { signal });
  // The log begins with `session_started`.
  const lastRevision = 1 + events.length;
  const before = session.headRevision;
  if (!session.created && before > lastRevision) await checkIsSame(session, work, signal);
  let expectedRevision = 1;
  for (const [index, batch] of batchesOf(events).entries()) {
    const behind = expectedRevision + batch.length;
    const requestId = requestIdOf(sessiond.namespace, work, index);
    try {
      await session.append(batch, { requestId, expectedRevision, signal });
    } catch (error) {
      if (!isNoLongerPossible(error) || before < behind) throw asTaken(error, work);
      await checkIsSame(session, work, signal);
    }
    expectedRevision = behind;
  }
  return session.created || before < lastRevision;
}

/** The events were stored longer ago than request ids are known, or the session went on since. */
function isNoLongerPossible(error: unknown): boolean {
  const { reason } = error as { reason?: unknown };
  return reason === "REVISION_CONFLICT" || reason === "SESSION_ENDED";
}

function asTaken(error: unknown, { sessionId }: SessionImport): unknown {
  const { reason } = error as { reason?: unknown };
  if (reason !== "REVISION_CONFLICT" && reason !== "REQUEST_ID_REUSED") return error;
  return new SessionTakenError(taken(sessionId), { cause: error });
}

/** Errors: SessionTakenError. */
async function checkIsSame(
  session: Session,
  { sessionId, events }: SessionImport,
  signal: AbortSignal,
): Promise<void> {
  let index = 0;
  for await (const { text, toolCall, message } of session.events({
    first: 2,
    last: 1 + events.length,
    includeHidden: true,
    pageSize: 500,
    signal,
  })) {
    const event = events[index];
    index += 1;
    const raw = event !== undefined && "raw" in event ? event.raw?.json : undefined;
    const isSame = raw === message.raw?.json && (toolCall !== undefined || text === textOf(event));
    if (!isSame) throw new SessionTakenError(taken(sessionId));
  }
}

function textOf(event: EventInput | undefined): string {
  if (event === undefined) return "";
  if ("text" in event) return event.text;
  if ("toolResult" in event) return event.toolResult.content;
  if ("thinking" in event) {
    return typeof event.thinking === "string" ? event.thinking : (event.thinking.text ?? "");
  }
  if (!("payload" in event) || event.payload.case !== "message") return "";
  return event.payload.value.text ?? "";
}

function taken(sessionId: string): string {
  return `session "${sessionId}" holds other events; import under another name with --session or --prefix`;
}

function requestIdOf(namespace: string, work: SessionImport, index: number): string {
  const parts = [namespace, work.sessionId, basename(work.file), work.line, index];
  return `import-${createHash("sha256").update(JSON.stringify(parts)).digest("hex")}`;
}
