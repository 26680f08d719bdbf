import type { Ledger } from "./ledger.ts";

/** What one call holds in a ledger until it is over: a reservation, or the place of one session. */
export class Admission {
  readonly ledger: Ledger;
  #uid: string | undefined;
  #isReserved = false;

  constructor(ledger: Ledger) {
    this.ledger = ledger;
  }

  /** Reserves room for the next session that enters. */
  reserve(): void {
    this.ledger.reserve();
    this.#isReserved = true;
  }

  /**
   * Takes a place for a session, instead of the one that was decided on before. When there is none,
   * gives how many sessions are active.
   */
  enter(uid: string, limit: number, nowMs: number): number | undefined {
    this.close();
    const active = this.ledger.countActive(nowMs);
    if (active >= limit) return active;
    this.#uid = uid;
    this.ledger.takePlace(uid);
    return undefined;
  }

  /** Gives back what no commit has filled. */
  close(): void {
    if (this.#isReserved) this.ledger.giveBackReservation();
    this.#isReserved = false;
    if (this.#uid !== undefined) this.ledger.giveBackPlace(this.#uid);
    this.#uid = undefined;
  }
}
