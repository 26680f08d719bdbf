import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Metadata, type ServiceError } from "@grpc/grpc-js";
import { BadRequestSchema, ErrorInfoSchema, StatusSchema } from "@sessiond/contract/rpc";

export interface Failure {
  /** Number of the gRPC status. */
  readonly code: number;
  readonly reason: string;
  readonly message?: string;
  readonly metadata?: Record<string, string>;
  /** Wrong fields of the request, sent as a `google.rpc.BadRequest`. */
  readonly violations?: readonly { readonly field: string; readonly description: string }[];
}

/** An error as the server sends it: a status with `google.rpc.ErrorInfo` in its details. */
export function failure(given: Failure): ServiceError {
  const { code, reason, message = reason, metadata = {}, violations = [] } = given;
  const info = create(ErrorInfoSchema, { reason, domain: "sessiond.dev", metadata });
  const badRequest = create(BadRequestSchema, { fieldViolations: [...violations] });
  const details = [anyPack(ErrorInfoSchema, info), anyPack(BadRequestSchema, badRequest)];
  const status = create(StatusSchema, { code, message, details });
  const trailers = new Metadata();
  trailers.set("grpc-status-details-bin", Buffer.from(toBinary(StatusSchema, status)));
  return Object.assign(new Error(message), { code, details: message, metadata: trailers });
}
