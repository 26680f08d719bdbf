import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CreateSessionRequestSchema,
  DeleteSessionRequestSchema,
  IfExists,
  RecordRequestRequestSchema,
  Role,
  StoreFindingCode,
  type VerifySummary,
} from "@sessiond/contract";
import { verifyStore } from "../../../src/domain/upkeep/verify/verify.ts";
import type { Store } from "../../../src/store/store.ts";
import { eventsOf, loadConversations } from "../../support/conversations.ts";
import { type TestDomain, userText } from "../../support/domain.ts";
import { amend, compact, end, open, protect, revert, talk } from "../context/compaction/support.ts";
import { cancel, expiryOf } from "../lifecycle/support.ts";

/** What a verify said, in short. */
export interface Verified {
  /** Code, session id or uid, and what was found, of each finding. */
  readonly findings: readonly { code: string; who: string; found: string }[];
  readonly summary: VerifySummary;
}

export async function verify(
  store: Store,
  signal: AbortSignal = new AbortController().signal,
): Promise<Verified> {
  const findings: { code: string; who: string; found: string }[] = [];
  for await (const { case: kind, value } of verifyStore(store, signal)) {
    if (kind === "summary") return { findings, summary: value };
    if (kind !== "finding") continue;
    const { code, sessionId, sessionUid, found } = value;
    findings.push({ code: StoreFindingCode[code], who: sessionId || sessionUid, found });
  }
  throw new Error("the verify ended without its summary");
}

/** Codes of the findings, in their order. */
export function codesOf({ findings }: Verified): string[] {
  return findings.map(({ code }) => code);
}

/** A store in which everything has happened that a log can hold. */
export async function liveIn(domain: TestDomain): Promise<void> {
  // "s": compacted twice, one of them taken back, events protected and no longer protected.
  await open(domain);
  await talk(domain, { turns: 20, tokens: 400 });
  await compact(domain);
  await talk(domain, { turns: 5, tokens: 400, from: 20 });
  await compact(domain);
  await revert(domain);
  await protect(domain, [3, 4, 5]);
  await protect(domain, [4], { unprotect: true });

  // Recorded runs, with calls and results, reported usage and errors.
  for (const run of loadConversations().conversations.slice(0, 3)) {
    const { sessionId, systemInstructions, messages } = run;
    const agentId = "airline";
    await domain.create({ session: { sessionId, systemInstructions, agentId, userId: "u" } });
    for (const [index, message] of messages.entries()) {
      const requestId = `${sessionId} ${index}`;
      await domain.append({ sessionId, requestId, events: eventsOf(message) });
    }
    const calls = (await domain.log(sessionId)).filter(
      ({ payload }) => payload.case === "toolCall",
    );
    for (const { revision } of [...calls, ...calls.slice(0, 1)]) {
      const { headRevision } = await domain.get(sessionId);
      await amend(domain, revision, `{"amended_at":${headRevision}}`, { sessionId });
    }
    const usage = { inputTokens: 1_000, outputTokens: 50, cost: 0.1 + messages.length };
    await domain.append({
      sessionId,
      events: [
        { role: Role.ASSISTANT, usage, payload: { case: "message", value: { text: "done" } } },
        { payload: { case: "error", value: { message: "too late" } } },
        { payload: { case: "thinking", value: { text: "and now" } } },
        { kind: "constraint", ...userText("never again") },
      ],
    });
    for (const processingTime of [durationFromMs(1_234), undefined]) {
      const request = { sessionId, ...(processingTime && { processingTime }) };
      await domain.counters.record(create(RecordRequestRequestSchema, request));
    }
  }

  // Expiring, cancelled, ended, renewed, deleted, never started, in another namespace.
  const session = { sessionId: "demo", expiry: expiryOf({ idleTtl: 60_000 }) };
  await domain.create({ session });
  await domain.append({ sessionId: "demo", events: [userText("one"), userText("two")] });
  await cancel(domain);
  const renew = { session, ifExists: IfExists.RENEW };
  await domain.sessions.create(create(CreateSessionRequestSchema, renew));
  await end(domain);
  await domain.create({ session: { sessionId: "later" }, deferredStart: true });
  await domain.create({ session: { sessionId: "one", namespace: "other" } });
  // Deleted: its log stays until housekeeping comes by.
  await domain.create({ session: { sessionId: "gone" } });
  await domain.append({ sessionId: "gone", events: [userText("one"), userText("two")] });
  const request = create(DeleteSessionRequestSchema, { sessionId: "gone" });
  await domain.sessions.delete(request);
}
