import type { ServiceImpl } from "@connectrpc/connect";
import type { ContextService } from "@sessiond/contract";
import type { Domain } from "../domain/domain.ts";

export function contextService({
  windows,
  compactions,
  reverts,
  protections,
  counting,
}: Domain): ServiceImpl<typeof ContextService> {
  return {
    getContextWindow: (request) => windows.window(request),
    compactSession: (request, { signal }) => compactions.compact(request, signal),
    revertCompaction: (request) => reverts.revert(request),
    submitSummary: (request) => compactions.submit(request),
    setProtection: (request) => protections.set(request),
    countTokens: (request) => counting.count(request),
  };
}
