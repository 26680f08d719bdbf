/** What the entries for Node and for browsers have in common. */

export type { AppendOptions, AppendResult } from "./append.ts";
export type { CallOptions, WriteOptions } from "./call-options.ts";
export type {
  ClientOptions,
  NamespaceEvent,
  NamespaceWatchOptions,
  SessiondClient,
} from "./client.ts";
export type { Clients } from "./clients.ts";
export type { DeleteOptions } from "./delete-session.ts";
export { ClientClosedError, ServerUnavailableError, UsageError } from "./errors/client-errors.ts";
export { type CallSubject, fromConnectError } from "./errors/from-connect-error.ts";
export * from "./errors/server-errors.ts";
export { type CodeName, type Reason, SessiondError } from "./errors/sessiond-error.ts";
export type * from "./event-input.ts";
export type { EventQuery } from "./event-list.ts";
export type { Page, PageList } from "./page.ts";
export type { RequestOptions } from "./record-request.ts";
export { type RetryOptions, reliable } from "./retry/policy.ts";
export type { EndOptions, Session, SessionWatchOptions, UpdateOptions } from "./session.ts";
export { type EventType, type SessionEvent, toSessionEvent } from "./session-event.ts";
export type { ExpiryInput, LimitsInput, SessionChanges, SessionFields } from "./session-input.ts";
export type { CreateOptions, NewSession, SessionQuery, Sessions } from "./sessions.ts";
export type { ClosableTransport } from "./transport/closable-transport.ts";
export type { Watch, WatchOptions } from "./watch.ts";
export type { OrderWord, PresetWord, RoleWord, StateWord } from "./words.ts";
