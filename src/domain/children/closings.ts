/**
 * Keeps those who delete a session apart from those who make children of it, or give it another name.
 *
 * Who deletes closes the session: whoever would make a child of it waits, and then finds it gone; what
 * was under way by then is waited for. Nobody holds anything while waiting for a session to open, and who
 * closes a session closes none but those below it, so nobody waits for ever.
 *
 * In memory only. After a crash there is nothing under way.
 */
export class Closings {
  /** Closed sessions by uid, and what ends with the closing. */
  readonly #closed = new Map<string, Promise<unknown>>();
  /** Commits under way that make children, by the uid of the parent. */
  readonly #additions = new Map<string, Set<Promise<unknown>>>();

  isOpen(uid: string): boolean {
    return !this.#closed.has(uid);
  }

  /** Waits until nobody deletes the session. */
  async opened(uid: string): Promise<void> {
    while (this.#closed.has(uid)) await this.#closed.get(uid);
  }

  /** Takes note of a commit that makes a child of an open session; to be called with it, in one turn. */
  async adding<T>(uid: string, commit: Promise<T>): Promise<T> {
    const under = this.#additions.get(uid) ?? new Set();
    this.#additions.set(uid, under);
    under.add(commit);
    try {
      return await commit;
    } finally {
      under.delete(commit);
      if (under.size === 0) this.#additions.delete(uid);
    }
  }

  /**
   * Runs while the session is closed, once no child of it is being made. Undefined: somebody else had
   * closed it and was waited for; look again.
   */
  async closed<T>(uid: string, run: () => Promise<T>): Promise<T | undefined> {
    if (this.#closed.has(uid)) {
      await this.opened(uid);
      return undefined;
    }
    const done = this.#settled(uid).then(run);
    const ended = done.then(ignore, ignore);
    this.#closed.set(uid, ended);
    try {
      return await done;
    } finally {
      this.#closed.delete(uid);
    }
  }

  async #settled(uid: string): Promise<void> {
    await Promise.allSettled(this.#additions.get(uid) ?? []);
  }
}

function ignore(): void {}
