import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { ErrorInfoSchema, StatusSchema } from "@sessiond/contract/rpc";

export interface Failure {
  /** Number of the gRPC status. */
  readonly code: number;
  readonly reason: string;
  readonly message?: string;
  readonly metadata?: Record<string, string>;
}

/** An error as the server sends it: a status with `google.rpc.ErrorInfo` in its details. */
export function failure({ code, reason, message = reason, metadata = {} }: Failure): ServiceError {
  const info = create(ErrorInfoSchema, { reason, domain: "sessiond.dev", metadata });
  const status = create(StatusSchema, { code, message, details: [anyPack(ErrorInfoSchema, info)] });
  const trailers = new Metadata();
  trailers.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return Object.assign(new Error(message), { code, details: message, metadata: trailers });
}
