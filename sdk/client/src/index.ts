/** Client of sessiond, the session sidecar for AI agents. Begin at `Sessiond`. */

export type { AppendOptions, AppendResult } from "./append.ts";
export type { CallOptions, WriteOptions } from "./call-options.ts";
export type { Clients } from "./clients.ts";
export type { DeleteOptions } from "./delete-session.ts";
export { ClientClosedError, ServerUnavailableError, UsageError } from "./errors/client-errors.ts";
export { type CallSubject, fromConnectError } from "./errors/from-connect-error.ts";
export * from "./errors/server-errors.ts";
export { type CodeName, type Reason, SessiondError } from "./errors/sessiond-error.ts";
export type * from "./event-input.ts";
export type { EventQuery } from "./event-list.ts";
export type { Page, PageList } from "./page.ts";
export type { RetryOptions } from "./retry/policy.ts";
export type { EndOptions, Session, SessionWatchOptions, UpdateOptions } from "./session.ts";
export { type EventType, type SessionEvent, toSessionEvent } from "./session-event.ts";
export type { ExpiryInput, LimitsInput, SessionChanges, SessionFields } from "./session-input.ts";
export {
  type NamespaceEvent,
  type NamespaceWatchOptions,
  Sessiond,
  type SessiondOptions,
} from "./sessiond.ts";
export type { CreateOptions, NewSession, SessionQuery, Sessions } from "./sessions.ts";
export {
  type ClosableTransport,
  createGrpcTransport,
  type GrpcTransportOptions,
} from "./transport/grpc-transport.ts";
export type { Watch, WatchOptions } from "./watch.ts";
export type { OrderWord, RoleWord, StateWord } from "./words.ts";
