import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AppendEventsRequestSchema,
  CreateSessionRequestSchema,
  type EventSchema,
  Role,
} from "@sessiond/contract";

export type EventInit = MessageInitShape<typeof EventSchema>;

/** A user's message of 58 tokens, the size of a typical chat message. */
export const typicalText =
  "I want to visit Japan next month, and I would like to know which reservations are possible. ".repeat(
    3,
  );

export function textEvent(text: string = typicalText): EventInit {
  return { role: Role.USER, payload: { case: "message", value: { text } } };
}

/** As large as a typical message, but without a text whose tokens would have to be counted. */
export function uncountedEvent(): EventInit {
  const value = { kind: { case: "stringValue", value: typicalText } } as const;
  return { payload: { case: "custom", value: { type: "bench", value } } };
}

/** The bytes of a call that creates a session. */
export function createBytes(request: MessageInitShape<typeof CreateSessionRequestSchema>): Buffer {
  const message = create(CreateSessionRequestSchema, request);
  return Buffer.from(toBinary(CreateSessionRequestSchema, message));
}

/** The bytes of an append, without a request id unless one is given. */
export function appendBytes(request: MessageInitShape<typeof AppendEventsRequestSchema>): Buffer {
  const message = create(AppendEventsRequestSchema, { createIfMissing: true, ...request });
  return Buffer.from(toBinary(AppendEventsRequestSchema, message));
}
