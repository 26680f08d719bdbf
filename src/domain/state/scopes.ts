import type { StateRecord } from "@sessiond/contract/store";
import { stateKey } from "../../store/keys.ts";
import type { StateScope, Store } from "../../store/store.ts";
import { type Hold, Locks } from "./locks.ts";

/** Scopes a change needs. */
export interface ScopeHolds {
  /** To be changed: nobody else changes them, or decides on what is in them, meanwhile. */
  readonly changed: readonly StateScope[];
  /** To be decided on, and not changed by others meanwhile. Default: none. */
  readonly kept?: readonly StateScope[];
}

/**
 * The state of all sessions, users and namespaces, one change of a scope at a time.
 *
 * A scope is held until its change is acknowledged. Meanwhile readers get what it held before, because
 * the store may show a commit a moment before it is durable. So nothing is kept in memory but the
 * records of changes under way.
 */
export class StateScopes {
  readonly #store: Store;
  readonly #locks = new Locks();
  /** What is durable of the scopes that are being changed. */
  readonly #before = new Map<string, Promise<StateRecord | undefined>>();

  constructor({ store }: { store: Store }) {
    this.#store = store;
    store.onCommit(({ change: { states = [] } }) => {
      for (const { scope } of states) this.#before.delete(nameOf(scope));
    });
  }

  /** What is durable, all of one moment; undefined for what is empty. Errors: DataLossError. */
  read(scopes: readonly StateScope[]): Promise<(StateRecord | undefined)[]> {
    return Promise.all(
      scopes.map((scope) => this.#before.get(nameOf(scope)) ?? this.#store.getState(scope)),
    );
  }

  /** Runs a change that ends with its commit, or with none. Errors: those of `run`. */
  hold<T>({ changed, kept = [] }: ScopeHolds, run: () => Promise<T>): Promise<T> {
    const holds: Hold[] = [
      ...changed.map((scope) => ({ name: nameOf(scope), alone: true })),
      ...kept.map((scope) => ({ name: nameOf(scope), alone: false })),
    ];
    return this.#locks.hold(holds, async () => {
      for (const scope of changed) {
        const record = this.#store.getState(scope);
        // Whoever reads it hears of damage; a removal does not read.
        record.catch(ignore);
        this.#before.set(nameOf(scope), record);
      }
      try {
        return await run();
      } finally {
        for (const scope of changed) this.#before.delete(nameOf(scope));
      }
    });
  }
}

function ignore(): void {}

/** Its key, whose order is the order in which scopes are locked. */
function nameOf(scope: StateScope): string {
  return stateKey(scope).toString("latin1");
}
