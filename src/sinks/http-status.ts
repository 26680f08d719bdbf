/**
 * Statuses of the four hundreds that are not about what was sent: they pass, or somebody mends a key, a path,
 * a proxy. A mistake in these would turn a day's events into dead letters.
 */
const notAboutTheBatch: ReadonlySet<number> = new Set([
  401, 403, 404, 405, 407, 408, 421, 425, 429,
]);

/** A receiver that answers so will never take what it was sent. */
export function isRefusal(status: number): boolean {
  return status >= 400 && status < 500 && !notAboutTheBatch.has(status);
}
