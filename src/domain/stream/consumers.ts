import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CommitCursorRequest,
  CommitCursorRequestSchema,
  type CommitCursorResponse,
  CommitCursorResponseSchema,
  type Consumer,
  type CreateConsumerRequest,
  CreateConsumerRequestSchema,
  type CreateConsumerResponse,
  CreateConsumerResponseSchema,
  type DeleteConsumerRequest,
  DeleteConsumerRequestSchema,
  type DeleteConsumerResponse,
  DeleteConsumerResponseSchema,
  type GetConsumerRequest,
  GetConsumerRequestSchema,
  type ListConsumersRequest,
  ListConsumersRequestSchema,
  type ListConsumersResponse,
  ListConsumersResponseSchema,
  WatchStart,
} from "@sessiond/contract";
import { type ConsumerRecord, ConsumerRecordSchema } from "@sessiond/contract/store";
import { type CursorPlace, decodePageToken, encodePageToken, scopeOf } from "../../cursor.ts";
import {
  ConsumerExistsError,
  ConsumerNotFoundError,
  CursorInvalidError,
  DataLossError,
  InvalidFieldError,
  TooManyConsumersError,
} from "../../errors.ts";
import type { Clock, Ids } from "../../ids.ts";
import { limits } from "../../limits.ts";
import { uidBytes, uidText } from "../../store/keys.ts";
import type { ConsumerName, Store } from "../../store/store.ts";
import { remembered } from "../answers.ts";
import { eventFilterOf } from "../filter/event-filter-of.ts";
import { namespaceOf } from "../names.ts";
import { pageSizeOf } from "../pages.ts";
import type { Remember, Requests } from "../requests.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { type ConsumerCell, ConsumerCells, withoutSession } from "./consumer-cells.ts";
import { callersName, ofSink, requestName } from "./consumer-names.ts";
import { codecOf, isOf, lagBehind, movedTo, placeOf, recordedPlace } from "./consumer-place.ts";
import { ConsumerSources } from "./consumer-sources.ts";
import { consumerView } from "./consumer-view.ts";
import { checkLease, takeLease } from "./leases.ts";
import type { ReaderLease } from "./reader-lease.ts";

/** A consumer that a watch has begun to read. */
export interface OpenConsumer {
  readonly name: ConsumerName;
  readonly record: ConsumerRecord;
  readonly lease: ReaderLease;
  readonly place: CursorPlace;
  /** Its place was kept before the store was restored. */
  readonly isRestored: boolean;
  /** Says that the reader took a message. */
  touch(): void;
  /** Gives the name back. */
  close(): void;
}

/** Keeps the places of named readers, and lets one at a time read under each name. */
export class Consumers {
  readonly #store: Store;
  readonly #requests: Requests;
  readonly #clock: Clock;
  readonly #ids: Ids;
  readonly #cells: ConsumerCells;
  readonly #sources: ConsumerSources;
  readonly #isOfSink: (name: ConsumerName) => boolean;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    requests: Requests;
    clock: Clock;
    ids: Ids;
    /** Hears why places could not be written; they are tried again. Default: nobody does. */
    onConsumerError?: (error: unknown) => void;
    /** Whether a sink reads under a name that begins with "sink.". Default: none does. */
    isOfSink?: ((name: ConsumerName) => boolean) | undefined;
  }) {
    this.#store = args.store;
    this.#requests = args.requests;
    this.#clock = args.clock;
    this.#ids = args.ids;
    this.#cells = new ConsumerCells({
      store: args.store,
      onError: args.onConsumerError ?? (() => {}),
    });
    this.#sources = new ConsumerSources(args);
    this.#isOfSink = args.isOfSink ?? (() => false);
  }

  /** Errors: as documented at the rpc; so for the others. */
  async create(request: CreateConsumerRequest): Promise<CreateConsumerResponse> {
    validate(CreateConsumerRequestSchema, request);
    const given = request.consumer as Consumer;
    const name = callersName(given, "consumer.name");
    if (given.cursor !== "" && request.start !== WatchStart.UNSPECIFIED) {
      throw new InvalidFieldError({
        field: "start",
        description: "is not together with consumer.cursor; leave one out",
      });
    }
    await eventFilterOf(given.filter, "consumer.filter");
    return this.#requests.once(
      {
        ...requestName(name),
        schema: CreateConsumerRequestSchema,
        message: request,
        responseSchema: CreateConsumerResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, (cell) =>
          cell.alone(() => this.#create(cell, { given, start: request.start, remember })),
        ),
    );
  }

  async get(request: GetConsumerRequest): Promise<Consumer> {
    validate(GetConsumerRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), name: request.name };
    return this.#cells.use(name, (cell) => this.#view(name, recordOf(cell), cell.lease));
  }

  async list(request: ListConsumersRequest): Promise<ListConsumersResponse> {
    validate(ListConsumersRequestSchema, request);
    const namespace = namespaceOf(request.namespace);
    const { storeId } = this.#store.capabilities;
    const scope = scopeOf(storeId, "consumers", namespace);
    const { pageToken } = request;
    const after = pageToken === "" ? {} : { after: decodePageToken(scope, pageToken) };
    const limit = pageSizeOf(request.pageSize);
    const found = await this.#store.listConsumers({ namespace, ...after, limit });
    const consumers = await Promise.all(
      found.map(({ name, record }) => {
        // What was committed a moment ago may not be written yet.
        const cell = this.#cells.known({ namespace, name });
        return this.#view({ namespace, name }, cell?.record ?? record, cell?.lease);
      }),
    );
    const last = found.length === limit ? found.at(-1) : undefined;
    return create(ListConsumersResponseSchema, {
      consumers,
      ...(last && { nextPageToken: encodePageToken(scope, last.name) }),
    });
  }

  async delete(request: DeleteConsumerRequest): Promise<DeleteConsumerResponse> {
    validate(DeleteConsumerRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), name: request.name };
    if (this.#isOfSink(name)) throw ofSink(name);
    return this.#requests.once(
      {
        ...requestName(name),
        schema: DeleteConsumerRequestSchema,
        message: request,
        responseSchema: DeleteConsumerResponseSchema,
      },
      async (remember) => {
        const { allowMissing } = request;
        try {
          return await this.#cells.use(name, (cell) =>
            cell.alone(() => this.#delete(cell, { allowMissing, remember })),
          );
        } catch (error) {
          // One that cannot be read can still be removed.
          if (!(error instanceof DataLossError)) throw error;
          return this.#remove(name, remember);
        }
      },
    );
  }

  async commit(request: CommitCursorRequest): Promise<CommitCursorResponse> {
    validate(CommitCursorRequestSchema, request);
    const name = callersName(request, "name");
    return this.#cells.use(name, async (cell) => {
      const newest = await this.#sources.newest(name, recordOf(cell));
      // From here on nothing waits: the lease that was checked is the one that commits.
      const record = recordOf(cell);
      checkLease(cell, record, { id: request.lease, nowMs: this.#clock() });
      const to = this.#decoded(name, record, request.cursor);
      assertWithin(to, newest);
      const moved = this.#move(cell, record, to);
      return create(CommitCursorResponseSchema, {
        cursor: this.#cursorOf(name, moved),
        lag: lagBehind(newest, placeOf(moved)),
      });
    });
  }

  /** Moves the place of a consumer of the server. Errors: those of `commit`. */
  async commitOwn(name: ConsumerName, cursor: string): Promise<void> {
    await this.#cells.use(name, (cell) => {
      cell.lease?.touch(this.#clock());
      const record = recordOf(cell);
      this.#move(cell, record, this.#decoded(name, record, cursor));
    });
  }

  /** Makes sure that a consumer of the server is there, and has that filter. */
  async ensureOwn(
    name: ConsumerName,
    { filter, start }: { filter: string; start: WatchStart },
  ): Promise<void> {
    await this.#cells.use(name, (cell) =>
      cell.alone(async () => {
        if (cell.record === undefined) {
          const place = this.#sources.start({ namespace: name.namespace, start });
          await this.#put(cell, this.#newRecord({ filter, ...recordedPlace(place) }));
        } else if (cell.record.filter !== filter) {
          cell.record = { ...cell.record, filter };
          this.#cells.moved(cell);
        }
      }),
    );
  }

  /** The kept place of a consumer; undefined: there is none of that name. Errors: DataLossError. */
  async placeOf(name: ConsumerName): Promise<CursorPlace | undefined> {
    return this.#cells.use(name, ({ record }) => record && placeOf(record));
  }

  /**
   * Gives a reader the name of a consumer. The caller closes what it gets.
   *
   * Errors: ConsumerNotFoundError, ConsumerInUseError, DataLossError.
   */
  async open(
    name: ConsumerName,
    { reader, takeOver }: { reader: string; takeOver: boolean },
  ): Promise<OpenConsumer> {
    return this.#cells.use(name, (cell) => {
      const record = recordOf(cell);
      const id = `${uidText(record.uid)}.${this.#ids.uid()}`;
      const lease = takeLease(cell, { id, reader, takeOver, nowMs: this.#clock() });
      return {
        name,
        record,
        lease,
        place: placeOf(record),
        isRestored: !isOf(this.#store.capabilities.storeId, record),
        touch: () => lease.touch(this.#clock()),
        close: () => {
          if (cell.lease !== lease) return;
          cell.lease = undefined;
          this.#cells.released(cell);
        },
      };
    });
  }

  /** The session that a consumer reads, where it is now. Errors: SessionDeletedError. */
  source(open: OpenConsumer) {
    return this.#sources.session(open.name.namespace, open.record);
  }

  /** How many are in memory, and how many of these somebody reads. */
  stats(): { inMemory: number; read: number } {
    const cells = [...this.#cells.loaded()];
    return {
      inMemory: cells.length,
      read: cells.filter(({ lease }) => lease !== undefined).length,
    };
  }

  /** How far a consumer found in the store is behind. */
  async lag(name: ConsumerName, stored: ConsumerRecord): Promise<number> {
    const record = this.#cells.known(name)?.record ?? stored;
    return lagBehind(await this.#sources.newest(name, record), placeOf(record));
  }

  /** Writes what was committed and is not written yet. */
  close(): Promise<void> {
    return this.#cells.close();
  }

  async #create(
    cell: ConsumerCell,
    args: {
      given: Consumer;
      start: WatchStart;
      remember: Remember<typeof CreateConsumerResponseSchema>;
    },
  ): Promise<CreateConsumerResponse> {
    const { given, start, remember } = args;
    const { name } = cell;
    const { namespace } = name;
    if (cell.record !== undefined) throw new ConsumerExistsError(name);
    const limit = limits.consumers;
    // Those created at the same time are not counted: the limit is a guard, not a quota.
    const others = await this.#store.listConsumers({ namespace, limit });
    if (others.length >= limit) throw new TooManyConsumersError({ namespace, limit });
    const source = await this.#sources.named({ namespace, sessionId: given.sessionId });
    const place =
      given.cursor === ""
        ? this.#sources.start({ namespace, start, ...source })
        : this.#decoded(name, source?.record ?? {}, given.cursor);
    assertWithin(place, source?.headRevision ?? this.#store.namespaceOffset(namespace));
    const record = this.#newRecord({
      ...source?.record,
      filter: given.filter,
      ...recordedPlace(place),
    });
    const consumer = await this.#view(name, record, undefined);
    const response = create(CreateConsumerResponseSchema, { consumer });
    await this.#put(cell, record, remember(response));
    return response;
  }

  async #put(
    cell: ConsumerCell,
    record: ConsumerRecord,
    request?: ReturnType<Remember<typeof CreateConsumerResponseSchema>>,
  ): Promise<void> {
    await this.#store.commit({
      ...withoutSession(cell.name.namespace),
      consumers: [{ ...cell.name, record }],
      ...remembered(request),
    });
    cell.stored(record);
  }

  async #delete(
    cell: ConsumerCell,
    args: { allowMissing: boolean; remember: Remember<typeof DeleteConsumerResponseSchema> },
  ): Promise<DeleteConsumerResponse> {
    const { name } = cell;
    if (cell.record === undefined && !args.allowMissing) throw new ConsumerNotFoundError(name);
    cell.isGoing = true;
    try {
      const response = await this.#remove(name, args.remember);
      cell.stored(undefined);
      cell.lease?.end(new ConsumerNotFoundError(name, "was deleted"));
      return response;
    } finally {
      cell.isGoing = false;
      this.#cells.moved(cell);
    }
  }

  async #remove(
    name: ConsumerName,
    remember: Remember<typeof DeleteConsumerResponseSchema>,
  ): Promise<DeleteConsumerResponse> {
    const response = create(DeleteConsumerResponseSchema);
    await this.#store.commit({
      ...withoutSession(name.namespace),
      consumers: [name],
      ...remembered(remember(response)),
    });
    return response;
  }

  #newRecord(fields: Partial<Omit<ConsumerRecord, "$typeName" | "$unknown">>): ConsumerRecord {
    return create(ConsumerRecordSchema, {
      ...fields,
      uid: Uint8Array.from(uidBytes(this.#ids.uid())),
      storeId: this.#store.capabilities.storeId,
      createTime: timestampFromMs(this.#clock()),
    });
  }

  #move(cell: ConsumerCell, record: ConsumerRecord, to: CursorPlace): ConsumerRecord {
    const { storeId } = this.#store.capabilities;
    cell.record = movedTo(record, { ...to, storeId, nowMs: this.#clock() });
    this.#cells.moved(cell);
    return cell.record;
  }

  /** Errors: CursorInvalidError. */
  #decoded(
    { namespace }: ConsumerName,
    record: Partial<ConsumerRecord>,
    cursor: string,
  ): CursorPlace {
    const { sessionUid = new Uint8Array() } = record;
    const { storeId } = this.#store.capabilities;
    return codecOf(storeId, namespace, { sessionUid }).decode(cursor);
  }

  #cursorOf({ namespace }: ConsumerName, record: ConsumerRecord): string {
    const { place, knownThrough } = placeOf(record);
    const { storeId } = this.#store.capabilities;
    return codecOf(storeId, namespace, record).encode(place, knownThrough);
  }

  async #view(
    name: ConsumerName,
    record: ConsumerRecord,
    lease: ReaderLease | undefined,
  ): Promise<Consumer> {
    return consumerView(name, record, {
      cursor: this.#cursorOf(name, record),
      lag: await this.lag(name, record),
      lease,
      isOfSink: this.#isOfSink(name),
    });
  }
}

/** Errors: ConsumerNotFoundError. */
function recordOf({ name, record }: ConsumerCell): ConsumerRecord {
  if (record === undefined) throw new ConsumerNotFoundError(name);
  return record;
}

/** Errors: CursorInvalidError. */
function assertWithin({ knownThrough }: CursorPlace, newest: number | undefined): void {
  if (newest === undefined || knownThrough <= newest) return;
  throw new CursorInvalidError("is ahead of the log");
}
