interface Lock {
  /** How many share it now; -1: somebody has it alone. */
  holders: number;
  readonly waiting: Waiter[];
}

interface Waiter {
  readonly alone: boolean;
  readonly enter: () => void;
}

/** What somebody wants to hold. */
export interface Hold {
  readonly name: string;
  /** Others neither share it nor have it meanwhile. */
  readonly alone: boolean;
}

/**
 * Locks by name: held by one alone or shared by many, first come, first served. A lock exists only
 * while it is held or waited for.
 */
export class Locks {
  readonly #locks = new Map<string, Lock>();

  /** Runs while holding all of them; each name once. Nobody waits for ever: they are taken in order. */
  async hold<T>(holds: readonly Hold[], run: () => Promise<T>): Promise<T> {
    const inOrder = [...holds].sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const hold of inOrder) await this.#take(hold);
    try {
      return await run();
    } finally {
      for (const hold of inOrder) this.#give(hold);
    }
  }

  #take({ name, alone }: Hold): Promise<void> | undefined {
    const lock = this.#locks.get(name) ?? { holders: 0, waiting: [] };
    this.#locks.set(name, lock);
    if (lock.waiting.length === 0 && isFree(lock, alone)) {
      enter(lock, alone);
      return undefined;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    lock.waiting.push({ alone, enter: resolve });
    return promise;
  }

  #give({ name, alone }: Hold): void {
    const lock = this.#locks.get(name);
    if (lock === undefined) return;
    lock.holders = alone ? 0 : lock.holders - 1;
    for (let next = lock.waiting[0]; next && isFree(lock, next.alone); next = lock.waiting[0]) {
      lock.waiting.shift();
      enter(lock, next.alone);
      next.enter();
    }
    if (lock.holders === 0) this.#locks.delete(name);
  }
}

function isFree({ holders }: Lock, alone: boolean): boolean {
  return alone ? holders === 0 : holders >= 0;
}

function enter(lock: Lock, alone: boolean): void {
  lock.holders = alone ? -1 : lock.holders + 1;
}
