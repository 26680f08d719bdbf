import type { ServiceImpl } from "@connectrpc/connect";
import type { ContextService } from "@sessiond/contract";
import type { Domain } from "../domain/domain.ts";

export function contextService({
  windows,
  counting,
}: Pick<Domain, "windows" | "counting">): Partial<ServiceImpl<typeof ContextService>> {
  return {
    getContextWindow: (request) => windows.window(request),
    countTokens: (request) => counting.count(request),
  };
}
