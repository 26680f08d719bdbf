import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import {
  CleanupSessionsRequestSchema,
  type CleanupSessionsResponse,
  EndSessionRequestSchema,
  RecordRequestRequestSchema,
} from "@sessiond/contract";
import type { TestDomain } from "../../support/domain.ts";

export type CleanupInit = MessageInitShape<typeof CleanupSessionsRequestSchema>;

export const minute = 60_000;
export const day = 86_400_000;

export function ms(value: number) {
  return durationFromMs(value);
}

/** One call. */
export function cleanupPage(
  domain: TestDomain,
  request: CleanupInit = {},
): Promise<CleanupSessionsResponse> {
  return domain.cleanup.cleanup(create(CleanupSessionsRequestSchema, request));
}

/** All pages: their counts, and what matched as `id: why`. */
export async function cleanupAll(domain: TestDomain, request: CleanupInit = {}) {
  const totals = { scanned: 0, matched: 0, changed: 0, failed: 0 };
  const matches: { sessionId: string; why: string; changed: boolean }[] = [];
  let pageToken = "";
  do {
    const page = await cleanupPage(domain, { ...request, pageToken });
    for (const name of ["scanned", "matched", "changed", "failed"] as const) {
      totals[name] += page[name];
    }
    matches.push(...page.sessions);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return { ...totals, ids: matches.map(({ sessionId }) => sessionId), matches };
}

export async function recordRequests(
  domain: TestDomain,
  sessionId: string,
  counts: { well: number; failed: number },
): Promise<void> {
  const record = (isError: boolean) =>
    domain.counters.record(
      create(RecordRequestRequestSchema, {
        sessionId,
        ...(isError && { error: { code: "tool", message: "no" } }),
      }),
    );
  for (let i = 0; i < counts.well; i++) await record(false);
  for (let i = 0; i < counts.failed; i++) await record(true);
}

export async function end(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.end(create(EndSessionRequestSchema, { sessionId }));
}
