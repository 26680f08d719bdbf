import { limits } from "../../limits.ts";
import { encodedEvent } from "../../store/encoded.ts";
import type { Committed, Store, StoredSession } from "../../store/store.ts";
import { hasEnded } from "../decisions.ts";
import { Channel, type TailCommit } from "./channel.ts";

/**
 * Tells watches of sessions and namespaces that something became durable.
 *
 * A log has a channel while somebody watches it. Wake-ups of commits that settle together are
 * given once.
 */
export class Hub {
  readonly #store: Store;
  readonly #sessions = new Map<string, Channel>();
  readonly #namespaces = new Map<string, Channel>();
  readonly #toWake = new Set<Channel>();
  readonly #detach: () => void;
  #tailBytes = 0;

  constructor({ store }: { store: Store }) {
    this.#store = store;
    this.#detach = store.onCommit((committed) => this.#committed(committed));
  }

  /** The channel of a session's log, `durable` being what a reader may see of it now. */
  openSession(durable: StoredSession): Channel {
    return open(this.#sessions, durable.session.uid, () => ({
      place: durable.head.revision,
      hasEnded: hasEnded(durable),
    }));
  }

  openNamespace(namespace: string): Channel {
    return open(this.#namespaces, namespace, () => ({
      place: this.#store.namespaceOffset(namespace),
      hasEnded: false,
    }));
  }

  /** Gives back a channel that was opened. */
  release(channel: Channel): void {
    if (--channel.watches > 0) return;
    this.#tailBytes -= channel.tailBytes;
    channel.forget();
    this.#toWake.delete(channel);
    for (const channels of [this.#sessions, this.#namespaces]) {
      for (const [key, known] of channels) if (known === channel) channels.delete(key);
    }
  }

  /** Wakes every watch, for example so that it notices the shutdown. */
  wakeAll(): void {
    for (const channels of [this.#sessions, this.#namespaces]) {
      for (const channel of channels.values()) channel.wake();
    }
  }

  close(): void {
    this.#detach();
  }

  #committed({ change, offset }: Committed): void {
    if (offset === 0) return;
    const { key, events, before, after } = change;
    const session = this.#sessions.get(key.uid);
    const namespace = this.#namespaces.get(key.namespace);
    if (session === undefined && namespace === undefined) return;

    const bytes = events.reduce((sum, event) => sum + encodedEvent(event).length, 0);
    const commit = { sessionId: key.sessionId, uid: key.uid, events, bytes };
    if (session !== undefined) {
      const last = after?.head.revision ?? session.place;
      this.#advance(session, last, { ...commit, first: session.place + 1, last });
      session.hasEnded = after !== undefined && hasEnded(after);
      session.isDeleted = after === undefined;
    }
    if (namespace !== undefined) {
      const lastRevision = before?.head.revision ?? 0;
      const deleted = { firstRevision: Math.min(1, lastRevision), lastRevision };
      this.#advance(namespace, offset, {
        ...commit,
        first: offset,
        last: offset,
        ...(after === undefined && { deleted }),
      });
    }
  }

  #advance(channel: Channel, place: number, commit: TailCommit): void {
    const before = channel.tailBytes;
    if (place > channel.place) {
      // Above the bound followers read from the store, which has everything.
      if (this.#tailBytes - before + commit.bytes > limits.tailBytes) channel.forget();
      else channel.remember(commit);
      channel.place = place;
    }
    this.#tailBytes += channel.tailBytes - before;
    if (this.#toWake.size === 0) setImmediate(() => this.#wake());
    this.#toWake.add(channel);
  }

  #wake(): void {
    const channels = [...this.#toWake];
    this.#toWake.clear();
    for (const channel of channels) channel.wake();
  }
}

function open(
  channels: Map<string, Channel>,
  key: string,
  state: () => { place: number; hasEnded: boolean },
): Channel {
  let channel = channels.get(key);
  if (channel === undefined) {
    channel = new Channel(state());
    channels.set(key, channel);
  }
  channel.watches++;
  return channel;
}
