import { UsageError } from "./errors/client-errors.ts";

/** Where a server listens unless told otherwise. */
export const defaultAddress = "127.0.0.1:7377";

/**
 * Decides which server to talk to: the given address, else `SESSIOND_ADDRESS`, else
 * 127.0.0.1:7377.
 *
 * Errors: UsageError when it is neither `host:port` nor `unix:/path`.
 */
export function resolveAddress(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  const { SESSIOND_ADDRESS: fromEnvironment } = environment;
  const address = given ?? (fromEnvironment || defaultAddress);
  if (isUnixPath(address) || isHostPort(address)) return address;
  throw new UsageError(
    `address "${address}" is neither host:port (127.0.0.1:7377) nor unix:/path; correct it or SESSIOND_ADDRESS`,
  );
}

function isUnixPath(address: string): boolean {
  return address.startsWith("unix:") && address.length > "unix:".length;
}

function isHostPort(address: string): boolean {
  const match = /^(?:\[[0-9a-fA-F:.%]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(address);
  const port = Number(match?.[1]);
  return port >= 1 && port <= 65_535;
}
