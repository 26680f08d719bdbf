/** Client of sessiond, the session sidecar for AI agents, for Node. Begin at `Sessiond`. */

export { Sessiond, type SessiondOptions } from "./sessiond.ts";
export * from "./shared.ts";
export { createGrpcTransport, type GrpcTransportOptions } from "./transport/grpc-transport.ts";
