import { fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type StatusObject, status } from "@grpc/grpc-js";
import { StatusSchema } from "@sessiond/contract/rpc";
import { toHeaders } from "./metadata.ts";

/** Trailer that carries a `google.rpc.Status` with the details of an error. */
const detailsKey = "grpc-status-details-bin";

/** What the text of a grpc-js status says when no connection could be made. */
const notListening = /ECONNREFUSED|ENOENT|No connection established|ENOTFOUND|EAI_AGAIN/;

/** What it says when the server refused the stream. */
const refused = /^Stream refused by server/;

/**
 * Turns a gRPC status into the `ConnectError` that Connect clients throw.
 *
 * Details are kept as they came, so `error.findDetails(ErrorInfoSchema)` works. A status that was
 * made on this side because the connection failed gets a message that says what to do.
 */
export function toConnectError(failed: StatusObject, address: string): ConnectError {
  const details = readDetails(failed);
  const local = details.length === 0;
  const { code, message } = local ? explain(failed, address) : plain(failed);
  const error = new ConnectError(message, code, toHeaders(failed.metadata));
  error.details = details;
  if (local) error.cause = failed;
  return error;
}

function plain(failed: StatusObject): { code: Code; message: string } {
  return { code: toCode(failed.code), message: failed.details };
}

function explain(failed: StatusObject, address: string): { code: Code; message: string } {
  if (failed.code === status.UNAVAILABLE && notListening.test(failed.details)) {
    const message = `no sessiond at ${address}; start it with \`sessiond serve\``;
    return { code: Code.Unavailable, message };
  }
  // An HTTP/2 server refuses streams it never looked at, as one does that is going down. grpc-js has
  // then tried once more by itself.
  if (failed.code === status.UNAVAILABLE && refused.test(failed.details)) {
    return { code: Code.Unavailable, message: `sessiond at ${address} takes no calls for now` };
  }
  if (failed.code === status.UNAVAILABLE) {
    const message = `lost the connection to sessiond at ${address}: ${failed.details}`;
    return { code: Code.Unavailable, message };
  }
  // A server says CANCELLED with details. Without them the peer reset the stream, which is how an
  // HTTP/2 server ends calls when it goes down at once.
  if (failed.code === status.CANCELLED) {
    const message = `sessiond at ${address} dropped the call`;
    return { code: Code.Unavailable, message };
  }
  return plain(failed);
}

/** The numbers are the same in both libraries; a number of the future is unknown. */
function toCode(code: number): Code {
  return code in Code ? code : Code.Unknown;
}

function readDetails(failed: StatusObject): { type: string; value: Uint8Array }[] {
  const [bytes] = failed.metadata.get(detailsKey);
  if (bytes === undefined || typeof bytes === "string") return [];
  try {
    return fromBinary(StatusSchema, bytes).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf("/") + 1),
      value,
    }));
  } catch {
    // Unreadable details must not hide the status they came with.
    return [];
  }
}
