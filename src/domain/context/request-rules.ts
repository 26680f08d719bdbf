import { setImmediate } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import type { Event, ProtectionRule } from "@sessiond/contract";
import {
  type ContextState,
  type ProtectedEvent,
  ProtectedEventSchema,
} from "@sessiond/contract/store";
import { limits } from "../../limits.ts";
import { readLog } from "../../store/log.ts";
import type { Store } from "../../store/store.ts";
import { isHidden } from "../history/visible.ts";
import type { Protection } from "../protection/protection.ts";
import type { Log } from "./event-cache.ts";

/** How far a log was looked through, and what was found. */
interface Found {
  through: number;
  readonly events: ProtectedEvent[];
}

/** Logs and lists of rules whose findings are kept. */
const maxFound = 64;

/**
 * Finds the events that the rules of a request protect, beside those protected when they were
 * appended.
 *
 * The first window with such rules looks through the whole log, a page at a time; later ones look at
 * what is new.
 */
export class RequestRules {
  readonly #store: Pick<Store, "readEvents">;
  readonly #protection: Protection;
  readonly #found = new Map<string, Found>();

  constructor(args: { store: Store; protection: Protection }) {
    this.#store = args.store;
    this.#protection = args.protection;
  }

  /** The state with what the rules protect. Errors: InvalidFieldError, DataLossError. */
  async apply(
    state: ContextState,
    log: Log,
    rules: readonly ProtectionRule[],
  ): Promise<ContextState> {
    if (rules.length === 0) return state;
    const reasonOf = await this.#protection.compile(rules, "policy.protection_rules");
    const key = JSON.stringify([log.uid, rules.map((rule) => [rule.expression, rule.reason])]);
    const found = this.#use(key);
    while (found.through < log.head) {
      const first = found.through + 1;
      const events = await readLog(this.#store, {
        log,
        first,
        last: log.head,
        maxEvents: limits.watchBatchEvents,
        maxBytes: limits.pageBytes,
      });
      // Somebody else may have come further meanwhile.
      for (const event of events) if (event.revision > found.through) add(found, event, reasonOf);
      if (events.length === 0) break;
      await setImmediate();
    }
    const known = new Set(state.protected.map(({ revision }) => revision));
    const more = found.events.filter(
      ({ revision }) =>
        revision <= log.head && !known.has(revision) && !isHidden(state.hidden, revision),
    );
    if (more.length === 0) return state;
    return { ...state, protected: [...state.protected, ...more], protectionChanged: true };
  }

  #use(key: string): Found {
    const found = this.#found.get(key) ?? { through: 0, events: [] };
    this.#found.delete(key);
    this.#found.set(key, found);
    for (const oldest of this.#found.keys()) {
      if (this.#found.size <= maxFound) break;
      this.#found.delete(oldest);
    }
    return found;
  }
}

function add(found: Found, event: Event, reasonOf: (event: Event) => string | undefined): void {
  found.through = event.revision;
  const reason = event.group === 0 ? undefined : reasonOf(event);
  if (reason === undefined) return;
  const { revision, group, tokens } = event;
  found.events.push(
    create(ProtectedEventSchema, { revision, group, tokens: tokens?.count ?? 0, reason }),
  );
}
