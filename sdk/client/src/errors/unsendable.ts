import type { ConnectError } from "@connectrpc/connect";
import { UsageError } from "./client-errors.ts";

/** What numbers of a type there are. */
const ranges: Readonly<Record<string, string>> = {
  uint32: "a whole number from 0 to 4294967295",
  int32: "a whole number from -2147483648 to 2147483647",
  uint64: "a whole number from 0 to 18446744073709551615",
  int64: "a whole number of up to 64 bits",
};

/**
 * The error of a request that could not be written, because a number does not fit its field;
 * undefined: it failed otherwise. grpc-js hands over nothing but the text of what the encoder threw.
 */
export function unsendable({ rawMessage }: ConnectError): UsageError | undefined {
  const match =
    /cannot encode field (?:\w+\.)*(?<message>\w+)\.(?<field>\w+) to binary: invalid (?<type>\w+): (?<value>.*)$/.exec(
      rawMessage,
    );
  const { message, field, type = "", value } = match?.groups ?? {};
  if (match === null) return undefined;
  return new UsageError(
    `${field} of ${message} is ${value}; give ${ranges[type] ?? `a number of type ${type}`}`,
  );
}
