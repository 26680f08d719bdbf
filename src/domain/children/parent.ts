import { create } from "@bufbuild/protobuf";
import {
  type Session,
  type SessionParent,
  SessionParentKind,
  SessionParentSchema,
} from "@sessiond/contract";
import { ParentMismatchError, TooManyGenerationsError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { parentUidOf } from "../../store/indexes.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { hasEnded, sessionEnded } from "../lifecycle/states.ts";
import type { SessionCell } from "../session-cells.ts";
import type { Closings } from "./closings.ts";

/** The session that a new one is to be a child of. Held for as long as the call takes. */
export class Parent {
  readonly #cell: SessionCell;
  readonly #closings: Closings;

  constructor(cell: SessionCell, closings: Closings) {
    this.#cell = cell;
    this.#closings = closings;
  }

  /** Errors: SessionNotFoundError; so for all here. */
  get uid(): string {
    return this.#cell.requireLatest().session.uid;
  }

  /**
   * It is there for good, and nobody deletes it: a child may be decided on, in this turn of the event
   * loop.
   */
  get isReady(): boolean {
    const { uid } = this;
    return this.#cell.durable?.session.uid === uid && this.#closings.isOpen(uid);
  }

  /** Waits for what keeps it from being ready; others may come between, so ask again. */
  async ready(): Promise<void> {
    await this.#closings.opened(this.uid);
    await this.#cell.settled();
  }

  /** What a child says of it. Errors: SessionEndedError, TooManyGenerationsError. */
  forChild(nowMs: number): SessionParent {
    const { sessionId } = this.#cell.name;
    const stored = this.#cell.requireLatest();
    const current = asOf(stored, nowMs);
    if (hasEnded(current)) throw sessionEnded(current, "children");
    const depth = depthOf(stored.session) + 1;
    const { generations } = limits;
    if (depth > generations) {
      throw new TooManyGenerationsError({ parentId: sessionId, limitLevels: generations });
    }
    const { uid } = stored.session;
    const kind = SessionParentKind.CHILD;
    return create(SessionParentSchema, { sessionId, kind, uid, depth });
  }

  /** Errors: ParentMismatchError for a session that is no child of it. */
  check(found: Session): void {
    if (parentUidOf(found) === this.uid) return;
    const { sessionId } = found;
    throw new ParentMismatchError({ sessionId, parentId: this.#cell.name.sessionId });
  }
}

/** How many sessions stand above it. */
function depthOf(session: Session): number {
  return parentUidOf(session) === undefined ? 0 : (session.parent?.depth ?? 0);
}
