import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import { Metadata } from "@grpc/grpc-js";
import { StatusSchema } from "@sessiond/contract/rpc";

/** Header that carries a `google.rpc.Status` with the details of an error. */
export const STATUS_DETAILS_HEADER = "grpc-status-details-bin";

/** A failed call as grpc-js takes it. */
export interface GrpcStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Connect's codes are gRPC's, so only the details change their form. */
export function toGrpcStatus(error: ConnectError): GrpcStatus {
  const metadata = toMetadata(error.metadata);
  metadata.set(STATUS_DETAILS_HEADER, statusDetails(error));
  return { code: error.code, details: error.rawMessage, metadata };
}

/** The binary `google.rpc.Status` of an error. */
export function statusDetails(error: ConnectError): Buffer {
  const status = create(StatusSchema, {
    code: error.code,
    message: error.rawMessage,
    details: error.details.map((detail) =>
      "desc" in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
    ),
  });
  return Buffer.from(toBinary(StatusSchema, status));
}

/** Headers a service set, in the form of grpc-js. */
export function toMetadata(headers: Headers): Metadata {
  const metadata = new Metadata();
  for (const [name, value] of headers) {
    metadata.add(name, name.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  }
  return metadata;
}
