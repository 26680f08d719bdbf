/** Client of sessiond, the session sidecar for AI agents, for browsers. Begin at `Sessiond`. */

export * from "../shared.ts";
export { Sessiond, type SessiondOptions } from "./sessiond.ts";
export { createWebTransport, type WebTransportOptions } from "./web-transport.ts";
