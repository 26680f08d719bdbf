import { type WatchEventsResponse, WatchStart } from "@sessiond/contract";
import type { ConsumerName, Store } from "../../store/store.ts";
import { Turns } from "../turns.ts";
import { serverPrefix } from "./consumer-names.ts";
import type { Consumers } from "./consumers.ts";
import type { Watches } from "./watches.ts";

/** Namespaces that are listed at a time. */
const namespacesPerPage = 256;

/**
 * Consumers that read inside the server, one for each namespace under the same name. Names begin with
 * "sink.": callers see them in lists, with their lag, and cannot change them.
 */
export class ServerConsumers {
  readonly #store: Store;
  readonly #watches: Watches;
  readonly #consumers: Consumers;

  constructor(args: { store: Store; watches: Watches; consumers: Consumers }) {
    this.#store = args.store;
    this.#watches = args.watches;
    this.#consumers = args.consumers;
  }

  /**
   * Reads a namespace behind the kept cursor, which the first read makes, as a watch does: `created`
   * first, then events and notices, `gap` where something is missing. A read that is not pulled reads
   * nothing. The caller ends it by `signal` or by leaving it.
   *
   * Errors: those of `Watches.watch`; ConsumerTakenOverError when another read of the name begins.
   */
  async *read(
    options: ConsumerName & {
      /** Expression in CEL over `event`; another than before takes its place. Default: all events. */
      readonly filter?: string;
      /** Where the first read begins. Default: with the first event there is. */
      readonly from?: "beginning" | "now";
      /**
       * Ends when all there is was shown, so that a namespace that is quiet costs nothing. The last
       * message has the cursor behind everything. Default: goes on for ever.
       */
      readonly untilCurrent?: boolean;
      /**
       * Hears of events that are not shown, because their sessions were deleted before the read came to
       * them, whether the filter shows them or not. Commits that are gone from the log, too, count as one each.
       */
      readonly onMissed?: (events: number) => void;
    },
    signal: AbortSignal,
  ): AsyncGenerator<WatchEventsResponse> {
    const { namespace, name, filter = "", from = "beginning", untilCurrent = false } = options;
    const { onMissed } = options;
    assertOwn(name);
    const start = from === "now" ? WatchStart.NOW : WatchStart.BEGINNING;
    await this.#consumers.ensureOwn({ namespace, name }, { filter, start });
    yield* this.#watches.readOwn({ namespace, name }, { signal, untilCurrent, onMissed });
  }

  /**
   * Moves the kept cursor to that of a message, up to which all is done with. An older one changes
   * nothing. It is written within a second: a crash repeats what lies behind it.
   *
   * Errors: ConsumerNotFoundError, CursorInvalidError, DataLossError.
   */
  commit({ namespace, name, cursor }: ConsumerName & { readonly cursor: string }): Promise<void> {
    assertOwn(name);
    return this.#consumers.commitOwn({ namespace, name }, cursor);
  }

  /**
   * Namespaces in which something lies behind the cursor of that name now, or there is none yet. What
   * comes meanwhile may be missing: who wants that, too, listens before.
   *
   * Errors: DataLossError.
   */
  async *namespacesBehind(name: string, signal: AbortSignal): AsyncGenerator<string> {
    assertOwn(name);
    const turns = new Turns();
    let after: string | undefined;
    while (!signal.aborted) {
      const behind = after === undefined ? {} : { after };
      const page = await this.#store.listNamespaces({ ...behind, limit: namespacesPerPage });
      for (const namespace of page) {
        if (signal.aborted) return;
        await turns.yield();
        if (await this.#isBehind({ namespace, name })) yield namespace;
      }
      after = page.at(-1);
      if (after === undefined) return;
    }
  }

  async #isBehind(name: ConsumerName): Promise<boolean> {
    const place = await this.#consumers.placeOf(name);
    return place === undefined || place.place < this.#store.namespaceOffset(name.namespace);
  }
}

function assertOwn(name: string): void {
  if (!name.startsWith(serverPrefix)) throw new RangeError(`"${name}" is no name of the server's`);
}
