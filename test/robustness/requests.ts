import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { type AppendEventsRequest, AppendEventsRequestSchema } from "@sessiond/contract";
import { ErrorInfoSchema } from "@sessiond/contract/rpc";

/** An append of one message; the event is named as the request, the session is made if missing. */
export function messageTo(args: {
  sessionId: string;
  requestId: string;
  text?: string;
}): AppendEventsRequest {
  const { sessionId, requestId, text = requestId } = args;
  return create(AppendEventsRequestSchema, {
    sessionId,
    requestId,
    createIfMissing: true,
    events: [{ eventId: requestId, payload: { case: "message", value: { text } } }],
  });
}

/** Reason of a call's failure; "none" when it does not fail. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "none";
  } catch (error) {
    const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
    return info?.reason ?? String(error);
  }
}
