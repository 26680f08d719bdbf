import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { ClientClosedError } from "../errors/client-errors.ts";

/** A Connect transport that has an end. */
export interface ClosableTransport extends Transport {
  /** Ends open calls and the connection. Later calls fail. */
  close(): void;
}

/** What calls of a closed transport fail with; its cause is the ClientClosedError. */
export function closedError(): ConnectError {
  const cause = new ClientClosedError();
  return new ConnectError(cause.message, Code.Canceled, undefined, undefined, cause);
}
