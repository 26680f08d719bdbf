import { create } from "@bufbuild/protobuf";
import {
  ExportSessionRequestSchema,
  type ExportSessionResponse,
  type ImportConflict,
  type ImportSessionRequest,
  ImportSessionRequestSchema,
  type ImportSessionResponse,
} from "@sessiond/contract";
import type { StoredSession } from "../../../src/store/store.ts";
import type { TestDomain } from "../../support/domain.ts";

/** Where an import goes, and how. */
export interface Target {
  readonly namespace?: string;
  readonly sessionId?: string;
  readonly onConflict?: ImportConflict;
  readonly dryRun?: boolean;
  readonly keep?: boolean;
}

export async function exported(
  domain: TestDomain,
  sessionId: string,
  namespace = "",
): Promise<ExportSessionResponse[]> {
  const request = create(ExportSessionRequestSchema, { namespace, sessionId });
  return Array.fromAsync(domain.exports.session(request));
}

/** The requests that import what was exported. */
export function requestsOf(
  parts: readonly ExportSessionResponse[],
  target: Target = {},
): ImportSessionRequest[] {
  return parts.map(({ part }) => {
    if (part.case !== "header") return create(ImportSessionRequestSchema, { part });
    const value = { ...target, header: part.value };
    return create(ImportSessionRequestSchema, { part: { case: "start", value } });
  });
}

export async function* streamed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

export function imported(
  domain: TestDomain,
  parts: readonly ExportSessionResponse[],
  target?: Target,
): Promise<ImportSessionResponse> {
  return domain.imports.session(streamed(requestsOf(parts, target)));
}

export async function storedAs(
  domain: TestDomain,
  sessionId: string,
  namespace = "default",
): Promise<StoredSession> {
  const stored = await domain.store.getSession({ namespace, sessionId });
  if (stored === undefined) throw new Error(`no session "${sessionId}"`);
  return stored;
}
