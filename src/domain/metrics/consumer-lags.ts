import { fromBinary } from "@bufbuild/protobuf";
import { ConsumerRecordSchema } from "@sessiond/contract/store";
import type { Clock } from "../../ids.ts";
import { parseConsumerKey } from "../../store/keys.ts";
import type { ConsumerName, Store, StoredRecord } from "../../store/store.ts";
import { serverPrefix } from "../stream/consumer-names.ts";
import type { Consumers } from "../stream/consumers.ts";
import { Turns } from "../turns.ts";

/** Consumers that are looked at together. */
const pageRecords = 256;
/** How old a figure may be; a look at ten thousand consumers takes a while. */
const freshMs = 15_000;

/**
 * How far the consumers of callers are behind, those that nobody reads too. Looks when it is asked, in the background
 * and at most every 15 seconds; the answer is that of the look before.
 */
export class ConsumerLags {
  readonly #store: Pick<Store, "records">;
  readonly #consumers: Pick<Consumers, "lag">;
  readonly #clock: Clock;
  #latest: { readonly count: number; readonly maxLag: number } | undefined;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #look: Promise<void> | undefined;

  constructor(args: {
    store: Pick<Store, "records">;
    consumers: Pick<Consumers, "lag">;
    clock: Clock;
  }) {
    this.#store = args.store;
    this.#consumers = args.consumers;
    this.#clock = args.clock;
  }

  /** Undefined before the first look is done. */
  get latest() {
    if (this.#look === undefined && this.#clock() - this.#lookedMs >= freshMs) {
      // A store that is closing, or damaged, is told of elsewhere.
      this.#look = this.#lookAtAll()
        .catch(() => {})
        .finally(() => {
          this.#look = undefined;
          this.#lookedMs = this.#clock();
        });
    }
    return this.#latest;
  }

  /** Waits for a look under way. */
  async settled(): Promise<void> {
    await this.#look;
  }

  async #lookAtAll(): Promise<void> {
    const turns = new Turns();
    let [count, maxLag] = [0, 0];
    let after: Uint8Array | undefined;
    do {
      const behind = after === undefined ? {} : { after };
      const range = { table: "consumers", ...behind, limit: pageRecords } as const;
      const [page] = await this.#store.records(range);
      for (const record of page) {
        await turns.yield();
        const name = parseConsumerKey(record.key);
        // Sinks have series of their own.
        if (name.name.startsWith(serverPrefix)) continue;
        count += 1;
        maxLag = Math.max(maxLag, await this.#lagOf(name, record));
      }
      after = page.at(-1)?.key;
    } while (after !== undefined);
    this.#latest = { count, maxLag };
  }

  async #lagOf(name: ConsumerName, { content }: StoredRecord): Promise<number> {
    if (!(content instanceof Uint8Array)) return 0;
    return this.#consumers.lag(name, fromBinary(ConsumerRecordSchema, content));
  }
}
