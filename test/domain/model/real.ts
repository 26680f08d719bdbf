import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { LmdbStore } from "../../../src/store/lmdb/lmdb-store.ts";
import { MemoryStore } from "../../../src/store/memory/memory-store.ts";
import type { Engine } from "../../support/app.ts";
import { openTestDomain, type TestDomain } from "../../support/domain.ts";
import { checkStore } from "../../support/store-check.ts";
import { verify } from "../upkeep/support.ts";

/** The domain over a store that outlives it. */
export class Real {
  readonly #engine: Engine;
  readonly #folder: string;
  #domain: TestDomain;

  private constructor(engine: Engine, folder: string, domain: TestDomain) {
    this.#engine = engine;
    this.#folder = folder;
    this.#domain = domain;
  }

  static async open(engine: Engine): Promise<Real> {
    const folder = engine === "lmdb" ? await mkdtemp(join(tmpdir(), "sessiond-model-")) : "";
    const store = engine === "lmdb" ? await LmdbStore.open({ path: folder }) : MemoryStore.open();
    return new Real(engine, folder, await domainOver(await store));
  }

  /** The one that runs now. */
  get domain(): TestDomain {
    return this.#domain;
  }

  /** Ends the domain and begins another, which knows what is in the store and nothing else. */
  async restart(): Promise<void> {
    const { now, store } = this.#domain;
    this.#domain.shutDown();
    await this.#domain.close();
    if (this.#engine === "lmdb") await store.close();
    const next = this.#engine === "lmdb" ? await LmdbStore.open({ path: this.#folder }) : store;
    this.#domain = await domainOver(next);
    this.#domain.now = now;
  }

  /** Writes down what time has done, and frees what nobody needs any more. */
  async sweep(): Promise<void> {
    await this.#domain.sweeper.sweep();
    await this.#free();
  }

  /** Ends everything. On disk, no table may have an entry that belongs to nothing. */
  async close(): Promise<void> {
    const { now } = this.#domain;
    // A store that was just opened looks through everything, not only when it has been a while.
    await this.restart();
    await this.#free();
    const { findings } = await verify(this.#domain.store);
    await this.#domain[Symbol.asyncDispose]();
    // Accounted: every counter equals a recount of its log.
    expect(findings).toEqual([]);
    if (this.#engine === "memory") return;
    const { faults } = await checkStore(this.#folder, now);
    await rm(this.#folder, { recursive: true });
    expect(faults).toEqual([]);
  }

  async #free(): Promise<void> {
    const { store, now } = this.#domain;
    while (await store.maintain({ nowMs: now, limit: 500 }));
  }
}

function domainOver(store: TestDomain["store"]): Promise<TestDomain> {
  const fail = (error: unknown) => {
    throw error;
  };
  return openTestDomain({
    store,
    progressIntervalMs: 1,
    onSweepError: fail,
    onCompactionError: fail,
  });
}
