import { vi } from "vitest";

/** Far more than a busy machine needs, and less than a test may take. */
const patienceMs = 20_000;

/** Checks again and again until it holds, and gives what the check gave. */
export function eventually<T>(
  check: () => T | Promise<T>,
  { timeout = patienceMs }: { readonly timeout?: number } = {},
): Promise<T> {
  return vi.waitFor(check, { timeout, interval: 20 });
}
