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
  /** Keys of one patch of the state, and the size of one scope of it in its binary form. */
  statePatchKeys: 256,
  stateScopeBytes: 64 * KiB,

  namespaceBytes: 64,
  idBytes: 200,
  kindBytes: 63,
  labels: 64,
  labelKeyBytes: 63,
  labelValueBytes: 255,
  tools: 256,
  parts: 256,

  /** Decoded events kept in memory for context windows. */
  windowCacheBytes: 64 * MiB,
  /** Events that one compaction takes; a longer log is compacted in pieces, the oldest first. */
  compactionEvents: 4_096,
  /** Compactions that run by themselves at once. */
  compactions: 64,
  /** Protected events of one session. */
  protectedEvents: 1_024,
  /** Tool calls of one session whose arguments were replaced. */
  amendedCalls: 1_024,
  /** Calls of one session that wait for a result; beyond it the oldest count as dead. */
  openCalls: 1_024,
  /** Separate stretches of a log that rewinds hide. */
  hiddenRanges: 1_024,
  /** Calls that were open when a rewind hid them, of which a session knows. */
  hiddenCalls: 64,
  /** Tools whose calls a session counts by name. */
  toolMetrics: 64,
  /** Answers that came late, of which a session knows where they stand. */
  lateMembers: 256,

  /** Protection rules of one list, and what one of them may be. */
  protectionRules: 64,
  ruleBytes: 2 * KiB,
  /** Words and signs of one rule, and of all rules of a list: parsing takes about 5 µs for each. */
  ruleWords: 640,
  ruleListWords: 4_096,
  /** Brackets inside one another. */
  ruleDepth: 32,
  /** What a rule sees of an event's text, in UTF-16 units, and of its metadata, in values. */
  ruleTextLength: 16 * KiB,
  ruleMetadataValues: 4_096,
  /** Steps one evaluation of a rule may take; one is about 0.1 µs at worst. */
  ruleSteps: 64 * KiB,
  /** Compiled rules kept for the next call, by the length of their texts. */
  cachedRuleLength: 256 * KiB,

  /** One request to an endpoint that makes summaries. */
  summariserTimeoutMs: 30_000,
  /** Tokens and bytes of its answer, and what it is asked, in UTF-16 units. */
  summariserMaxTokens: 4_096,
  summariserAnswerBytes: MiB,
  summariserPromptLength: 512 * KiB,

  /** A page of sessions ends early when a filter has taken this long. */
  filterMs: 1_000,
  /** After this time work on many sessions lets others work. */
  turnMs: 2,
  /** Sessions one call of CleanupSessions looks at. */
  defaultCleanupPageSize: 1_000,
  cleanupPageSize: 5_000,
  /** Sessions one call of DeleteUserData deletes, and forks it names. */
  userSessions: 10_000,
  namedForks: 1_000,

  defaultPageSize: 50,
  pageSize: 1_000,
  /** A page ends early here, so that large events do not make large answers. */
  pageBytes: MiB,

  /** Calls that run at once, streams aside. */
  calls: 4_096,
  /** Unary calls that begin before the event loop gets its turn. */
  callsAtOnce: 16,
  watches: 10_000,
  /** How often a quiet watch says that it is current. */
  progressIntervalMs: 5_000,
  /** How long a browser waits before it opens a stream of text/event-stream again. */
  streamRetryMs: 2_000,
  /** Events one stream message holds, unless one batch alone is larger. */
  watchBatchEvents: 64,
  /** Bytes one stream message holds, unless one batch alone is larger. */
  watchBatchBytes: 16 * KiB,

  /** Consumers of one namespace, and how long a name of one is. */
  consumers: 1_000,
  consumerNameBytes: 63,
  /** How long a reader keeps a consumer's name without taking a message or committing. */
  consumerLeaseMs: 30_000,
  /** A committed cursor is written by then, or when it has moved by so many events or commits. */
  consumerWriteMs: 1_000,
  consumerWritePlaces: 1_000,

  /** Events and bytes of one message of ExportSession; the bytes unless one event alone is larger. */
  bundleEvents: 500,
  bundleBytes: 256 * KiB,
  /** Sessions that are exported, and that are imported, at once. */
  exports: 256,
  imports: 64,
  /** Batches of one import that are under way to the store at once. */
  importInFlight: 64,
  /**
   * Revisions that an import looks at again to follow the compactions of a log, for each event of it:
   * ordinary logs take a few.
   */
  importLooks: 256,

  /** Batches of one AppendStream that are under way at once. */
  appendStreamInFlight: 256,
  /** Logs that the events of a fork are in; of a deeper chain of forks the newest are copied. */
  logSegments: 16,
  /** Bytes of the events that are copied then. */
  forkCopyBytes: 32 * MiB,
  /** Levels of children below a session that is nobody's child. */
  generations: 16,
  /** Children of one session that are deleted at once with it; those of children go one by one. */
  childrenAtOnce: 8,
  /** Sessions kept in memory between calls, by number and by the bytes of their own fields. */
  cachedSessions: 10_000,
  cachedSessionBytes: 64 * MiB,
  /** UTF-16 units of texts that wait to be counted, and 512 for each; beyond it counts are estimated. */
  tokenQueueLength: 16 * MiB,
  /** Pretokens of an encoding whose tokens are remembered, about 100 bytes each. */
  knownPretokens: 20_000,

  /** Indexes of sessions for windows with a query, all together. */
  retrievalBytes: 64 * MiB,
  /** Newest events of a session that are indexed. */
  retrievalEvents: 100_000,
  /** An index further behind than this begins anew with the newest events. */
  retrievalCatchUpEvents: 10_000,
  /** How long a window waits for its session's index. */
  retrievalWaitMs: 250,
  /** After this time a search, or the making of an index, lets others work. */
  retrievalSliceMs: 5,
  /** Different terms of a query that are looked up, from its beginning on. */
  queryTerms: 1_024,
  /** Of these, the rarest, by which groups are scored. */
  scoredQueryTerms: 32,

  /** How long a request id is remembered. */
  requestIdTtlMs: 24 * 60 * 60 * 1000,
  /** How long a watch of a namespace that continues is told of a session that was deleted. */
  deletionNoticeTtlMs: 7 * 24 * 60 * 60 * 1000,
  /** How long the rollups of an hour are kept. */
  rollupTtlMs: 400 * 24 * 60 * 60 * 1000,
  /** Rollup records kept in memory between commits. */
  cachedRollups: 10_000,
  /** Records of hours that were read for an aggregate, kept in memory: about 250 bytes each. */
  cachedRollupRecords: 60_000,
  /** Labels by which sessions are counted. */
  metricLabels: 4,
  /** Groups of an aggregate, in the answer and while it is made; numbers in an answer. */
  defaultMetricGroups: 100,
  metricGroups: 1_000,
  metricValues: 50_000,
  metricNumbers: 100_000,
  /** Sessions that an aggregate looks at where nothing was counted. */
  defaultMetricSessions: 10_000,
  metricSessions: 100_000,
  /** A commit that has not settled by then counts as failed with unknown outcome. */
  commitTimeoutMs: 30_000,
  /** How long running calls may take to finish at shutdown. */
  drainMs: 10_000,
  /** How long running calls may take to fail when the store has failed. */
  failureDrainMs: 1_000,

  /** Newest commits that are kept in memory where there are sinks. */
  recentCommitBytes: 4 * MiB,
  /** Sinks of a server. */
  sinks: 32,
  /** Events and bytes of one batch of a sink; the bytes unless one commit alone is larger. */
  sinkBatchEvents: 512,
  sinkBatchBytes: 256 * KiB,
  /**
   * How long sinks let events come together before they read them: for a pipe, for a file, which is synced
   * to disk for each batch, as the store's own is, and for a request over HTTP.
   */
  sinkLingerMs: 50,
  fileSinkLingerMs: 500,
  httpSinkLingerMs: 200,
  /** While the thread is busy a sink rests so many times as long as it worked, at most so long. */
  sinkRestFactor: 9,
  sinkRestMs: 2_000,
  /** Batches of one namespace before it is the turn of another. */
  sinkTurnBatches: 8,
  /** Pause before a batch is delivered again the first time, and the longest one. */
  sinkRetryMs: 500,
  sinkRetryMaxMs: 60_000,
  /** Dead letters of a sink: bytes of a file, unless one batch alone is larger, and files kept beside it. */
  deadLetterBytes: 100 * MiB,
  deadLetterFiles: 10,
  /** What an `otlp` sink remembers of sessions that run: about 30,000 that do nothing. */
  otlpMemoryBytes: 32 * MiB,
  /** How long sinks may take at a shutdown to deliver what is there, and then to give up. */
  sinkDrainMs: 5_000,
  sinkCloseMs: 2_000,
  /** Fields and patterns that are taken out for one sink, and what one pattern may be. */
  sinkRedactions: 64,
  sinkPatternLength: 1_024,
  /** Instructions of a compiled pattern: a character of a text takes about 20 ns for each. */
  sinkPatternSize: 500,
  /** Time for one request of a webhook. */
  webhookTimeoutMs: 10_000,

  /** Records that a verify or a stat looks at between two looks at what others want. */
  verifyRecords: 64,
  /** Bytes of events it reads at once. */
  verifyBytes: 256 * KiB,
  /** Sessions of which a verify compares heads with names and with the logs of namespaces: 25 bytes each. */
  verifySessions: 4_000_000,
  /** Findings that one verify sends; those beyond are counted. */
  findings: 10_000,
  /** How often a long operation on the store says how far it is. */
  storeProgressMs: 250,
  /** How long a stat looks at sessions, and the sessions of each of its lists. */
  statMs: 3_000,
  statSessions: 10,

  /** A connection that has sent nothing by then is closed. */
  silentSocketMs: 10_000,
  connections: 10_000,
  /** Concurrent calls of one gRPC connection. */
  streamsPerConnection: 20_000,
} as const;

export type Limits = { readonly [name in keyof typeof limits]: number };
