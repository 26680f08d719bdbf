import {
  create,
  type DescMessage,
  fromBinary,
  isMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { undecodable } from "./errors.ts";

/**
 * A request that is not protobuf, in the place of the request.
 *
 * A deserialiser that throws would make grpc-js answer INTERNAL without details.
 */
export class Undecodable {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

export type Decoded<Desc extends DescMessage> = MessageShape<Desc> | Undecodable;

export function decoder<Desc extends DescMessage>(desc: Desc): (bytes: Buffer) => Decoded<Desc> {
  return (bytes) => {
    try {
      return fromBinary(desc, bytes);
    } catch (cause) {
      return new Undecodable(cause);
    }
  };
}

/** The request, or an INVALID_FIELD error if it could not be decoded. */
export function decoded<Desc extends DescMessage>(request: Decoded<Desc>): MessageShape<Desc> {
  if (request instanceof Undecodable) {
    const { cause } = request;
    throw undecodable(cause instanceof Error ? cause.message : String(cause), cause);
  }
  return request;
}

/** The request, or undefined if it could not be decoded. */
export function readable<Desc extends DescMessage>(
  request: Decoded<Desc>,
): MessageShape<Desc> | undefined {
  return request instanceof Undecodable ? undefined : request;
}

export type Encode<Desc extends DescMessage> = (value: MessageInitShape<Desc>) => Buffer;

/** Encodes without copying the result. */
export function encoder<Desc extends DescMessage>(desc: Desc): Encode<Desc> {
  return (value) => {
    const bytes = toBinary(desc, create(desc, value));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

/**
 * Encodes a message object once, however many streams it is written to.
 *
 * Messages are known by identity, so one that was streamed must not be changed afterwards. The
 * bytes live as long as the message.
 */
export function sharedEncoder<Desc extends DescMessage>(desc: Desc): Encode<Desc> {
  const encode = encoder(desc);
  const known = new WeakMap<object, Buffer>();
  return (value) => {
    if (!isMessage(value)) {
      return encode(value);
    }
    let bytes = known.get(value);
    if (bytes === undefined) {
      bytes = encode(value);
      known.set(value, bytes);
    }
    return bytes;
  };
}
