import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema } from "@sessiond/contract";
import type { TestDomain } from "../../support/domain.ts";

export async function deleteSession(domain: TestDomain, sessionId: string): Promise<void> {
  await domain.sessions.delete(create(DeleteSessionRequestSchema, { sessionId }));
}
