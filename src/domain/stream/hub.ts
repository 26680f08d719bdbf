import type { Committed, Store, StoredSession } from "../../store/store.ts";
import { hasEnded } from "../lifecycle/states.ts";
import { Channel } from "./channel.ts";

/** Watches from which on a channel is woken at a slower pace. */
const manyWatches = 16;
/** That pace. A fan-out to so many takes milliseconds; commits in between travel together. */
const paceMs = 4;

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

  constructor({ store }: { store: Store }) {
    this.#store = store;
    store.onCommit((committed) => this.#committed(committed));
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
    this.#toWake.delete(channel);
    for (const channels of [this.#sessions, this.#namespaces]) {
      if (channels.get(channel.key) === channel) channels.delete(channel.key);
    }
  }

  /** Wakes every watch, for example so that it notices the shutdown. */
  wakeAll(): void {
    for (const channels of [this.#sessions, this.#namespaces]) {
      for (const channel of channels.values()) channel.wake();
    }
  }

  #committed({ change, offset }: Committed): void {
    if (offset === 0) return;
    const { key, after } = change;
    const session = this.#sessions.get(key.uid);
    if (session !== undefined) {
      session.place = after?.head.revision ?? session.place;
      session.hasEnded = after !== undefined && hasEnded(after);
      session.isDeleted = after === undefined;
      this.#wakeSoon(session);
    }
    const namespace = this.#namespaces.get(key.namespace);
    if (namespace !== undefined) {
      namespace.place = offset;
      if (after === undefined) namespace.forgetSteps();
      this.#wakeSoon(namespace);
    }
  }

  #wakeSoon(channel: Channel): void {
    if (this.#toWake.has(channel)) return;
    this.#toWake.add(channel);
    const wake = () => {
      if (this.#toWake.delete(channel)) channel.wake();
    };
    if (channel.watches < manyWatches) setImmediate(wake);
    else setTimeout(wake, paceMs);
  }
}

function open(
  channels: Map<string, Channel>,
  key: string,
  state: () => { place: number; hasEnded: boolean },
): Channel {
  let channel = channels.get(key);
  if (channel === undefined) {
    channel = new Channel(key, state());
    channels.set(key, channel);
  }
  channel.watches++;
  return channel;
}
