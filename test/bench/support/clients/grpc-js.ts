import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type ClientReadableStream,
  credentials,
  type MethodDefinition,
  makeClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import {
  EventService,
  type GetSessionRequestSchema,
  type GetSessionResponse,
  SessionService,
  type WatchEventsRequestSchema,
  type WatchEventsResponse,
  WatchStart,
} from "@sessiond/contract";
import { pathOf } from "../raw-client.ts";
import { countdown, type MeasuredClient } from "./measured-client.ts";
import { readStream } from "./read-stream.ts";

/** The two methods that are measured, with the names of the contract. */
interface Stub {
  getSession(
    request: MessageInitShape<typeof GetSessionRequestSchema>,
    done: (error: ServiceError | null, answer?: GetSessionResponse) => void,
  ): void;
  watchEvents(
    request: MessageInitShape<typeof WatchEventsRequestSchema>,
  ): ClientReadableStream<WatchEventsResponse>;
}

const Stub = makeClientConstructor(
  {
    getSession: definition(SessionService.method.getSession),
    watchEvents: definition(EventService.method.watchEvents),
  },
  "sessiond.v1",
);

/** A stub of grpc-js made from the contract's descriptors, its messages those of protobuf-es. */
export function grpcJsClient(address: string): MeasuredClient {
  const stub = new Stub(address, credentials.createInsecure()) as unknown as Stub;
  return {
    getSession: (sessionId) =>
      new Promise((resolve, reject) => {
        stub.getSession({ sessionId }, (error, answer) =>
          error === null ? resolve(answer) : reject(error),
        );
      }),
    watchEvents({ sessionId, events }) {
      const more = countdown(events);
      const stream = stub.watchEvents({ sessionId, start: WatchStart.BEGINNING });
      return readStream(stream, ({ message }) =>
        more(message.case === "events" ? message.value.events.length : 0),
      );
    },
  };
}

function definition<I extends DescMessage, O extends DescMessage>(
  method: DescMethod & { readonly input: I; readonly output: O },
): MethodDefinition<MessageInitShape<I>, MessageShape<O>> {
  const { input, output, methodKind } = method;
  return {
    path: pathOf(method),
    requestStream: false,
    responseStream: methodKind === "server_streaming",
    requestSerialize: (request) => Buffer.from(toBinary(input, create(input, request))),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (answer) => Buffer.from(toBinary(output, answer)),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}
