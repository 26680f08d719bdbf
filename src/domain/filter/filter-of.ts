import type { SessionFilter } from "./session-filter.ts";

/**
 * The filter of a request; one that is empty lets everything pass.
 *
 * What evaluates it is loaded with the first one, because that takes tens of milliseconds.
 *
 * Errors: InvalidFieldError.
 */
export async function filterOf(text: string): Promise<SessionFilter> {
  if (text === "") return () => true;
  const { compileFilter } = await import("./session-filter.ts");
  return compileFilter(text);
}
