/** Code of an error of Node or LMDB, for messages; "unknown" when it has none. */
export function errorCode(error: unknown): string {
  if (error instanceof Error && "code" in error) return String(error.code);
  return "unknown";
}

/** An error that LMDB or the operating system reported, rather than one of our own making. */
export function isDriverError(error: unknown): boolean {
  return error instanceof Error && "code" in error && typeof error.code === "number";
}

/** Text of whatever was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Waits for the reason behind an error of LMDB.
 *
 * The driver rejects a write with a general error and hands the reason over in a promise beside
 * it, which would end the process as an unhandled rejection if nobody looked.
 */
export async function driverCause(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error)) return error;
  const { commitError } = error;
  if (!(commitError instanceof Promise)) return error;
  const never = new Promise<unknown>((resolve) => setImmediate(resolve, error).unref());
  return Promise.race([
    commitError.then(
      () => error,
      (cause: unknown) => cause,
    ),
    never,
  ]);
}
