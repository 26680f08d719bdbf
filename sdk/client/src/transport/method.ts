import {
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

/** Path of a method in gRPC, for example `/sessiond.v1.EventService/AppendEvents`. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Writes messages of a type as grpc-js wants them. */
export function serializer<Desc extends DescMessage>(desc: Desc) {
  return (message: MessageShape<Desc>): Buffer => {
    const bytes = toBinary(desc, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

/** Reads messages of a type from what grpc-js hands over. */
export function deserializer<Desc extends DescMessage>(desc: Desc) {
  return (bytes: Buffer): MessageShape<Desc> => fromBinary(desc, bytes);
}
