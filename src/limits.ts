/** Every bound of the server in one place. Sizes in bytes, times in milliseconds. */

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /** A request as it comes over the wire; larger ones are refused before they are decoded. */
  requestBytes: 4 * MiB,
  /** One event in its binary form. */
  eventBytes: MiB,
  /** Events of one append. */
  eventsPerAppend: 1_000,
  /** All events of one session in their binary form. */
  sessionLogBytes: 1024 * MiB,
  /** A session's own fields in their binary form. */
  sessionBytes: MiB,
  /**
   * Levels of a Struct or Value: objects and lists inside one another, and a Value is a level
   * itself. Most Protobuf runtimes stop at 100 messages, of which an object takes three (Value,
   * Struct, entry): a Value of 32 levels in an event takes 94 of them, and a watch four more.
   */
  structDepth: 32,
  /** Size of metadata in its binary form. */
  metadataBytes: 64 * KiB,

  namespaceBytes: 64,
  idBytes: 200,
  kindBytes: 63,
  labels: 64,
  labelKeyBytes: 63,
  labelValueBytes: 255,
  tools: 256,
  parts: 256,

  defaultPageSize: 50,
  pageSize: 1_000,
  /** A page ends early here, so that large events do not make large answers. */
  pageBytes: MiB,

  /** Calls that run at once, streams aside. */
  calls: 4_096,
  watches: 10_000,
  /** How often a quiet watch says that it is current. */
  progressIntervalMs: 5_000,
  /** Events one stream message holds, unless one batch alone is larger. */
  watchBatchEvents: 64,
  /** Bytes one stream message holds, unless one batch alone is larger. */
  watchBatchBytes: 16 * KiB,

  /** Batches of one AppendStream that are under way at once. */
  appendStreamInFlight: 256,
  /** Sessions kept in memory between calls, by number and by the bytes of their own fields. */
  cachedSessions: 10_000,
  cachedSessionBytes: 64 * MiB,
  /** UTF-16 units of texts that wait to be counted; beyond it counts are estimated. */
  tokenQueueLength: 16 * MiB,

  /** How long a request id is remembered. */
  requestIdTtlMs: 24 * 60 * 60 * 1000,
  /** A commit that has not settled by then counts as failed with unknown outcome. */
  commitTimeoutMs: 30_000,
  /** How long running calls may take to finish at shutdown. */
  drainMs: 10_000,
  /** How long running calls may take to fail when the store has failed. */
  failureDrainMs: 1_000,

  /** A connection that has sent nothing by then is closed. */
  silentSocketMs: 10_000,
  connections: 10_000,
  /** Concurrent calls of one gRPC connection. */
  streamsPerConnection: 20_000,
} as const;

export type Limits = { readonly [name in keyof typeof limits]: number };
