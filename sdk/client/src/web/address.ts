import { UsageError } from "../errors/client-errors.ts";

/** Where a server listens unless told otherwise. */
export const defaultWebAddress = "http://127.0.0.1:7377";

/**
 * Checks the address of a server as a browser needs it: the URL its paths are added to. Without
 * one it is http://127.0.0.1:7377.
 *
 * Errors: UsageError when it is not a URL that begins with http: or https:.
 */
export function resolveWebAddress(given: string = defaultWebAddress): string {
  if (/^https?:\/\//.test(given) && URL.canParse(given)) return given.replace(/\/+$/, "");
  throw new UsageError(
    `address "${given}" is no URL; a browser needs one, such as ${defaultWebAddress}`,
  );
}
