import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Event,
  type ListStepsRequest,
  ListStepsRequestSchema,
  type ListStepsResponse,
  ListStepsResponseSchema,
  type Step,
  StepSchema,
} from "@sessiond/contract";
import { decodePageToken, encodePageToken, scopeOf } from "../../cursor.ts";
import { PageTokenInvalidError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { type LogPlaces, type LogRange, placesOf } from "../../store/log.ts";
import type { Store } from "../../store/store.ts";
import { type Amendments, amendmentsOf, asAmended } from "../context/amendment-view.ts";
import { stateOf } from "../context/state.ts";
import { type Hidden, readVisible } from "../history/visible.ts";
import { namespaceOf } from "../names.ts";
import { pageSizeOf } from "../pages.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { StepReader } from "./step-reader.ts";

/** Events read at once, and for one page: between two steps there may be many. */
const chunkEvents = 256;
const scannedPerPage = 5_000;

type Range = Pick<LogRange, "log" | "first" | "last"> & { readonly hidden: Hidden };

/** A log from a revision on, and what became of its calls. */
interface Reading extends Range {
  readonly amendments: Amendments;
}

/** Lists the steps of sessions. A page costs by the events it is read from. */
export class StepList {
  readonly #store: Store;
  readonly #cells: SessionCells;

  constructor({ store, cells }: { store: Store; cells: SessionCells }) {
    this.#store = store;
    this.#cells = cells;
  }

  /** Errors: as documented at the rpc. */
  async list(request: ListStepsRequest): Promise<ListStepsResponse> {
    validate(ListStepsRequestSchema, request);
    const { namespace, sessionId, pageToken } = request;
    return this.#cells.use({ namespace: namespaceOf(namespace), sessionId }, async (cell) => {
      const stored = cell.requireDurable();
      const scope = scopeOf(stored.session.uid, request.includeHidden ? "all steps" : "steps");
      const first = pageToken === "" ? 1 : parseRevision(decodePageToken(scope, pageToken));
      const log = placesOf(stored);
      const hidden = request.includeHidden ? [] : stateOf(stored).hidden;
      const amendments: Amendments = {
        revisions: amendmentsOf(stateOf(stored)),
        read: (revision) => this.#event(log, revision),
      };
      const reading = { log, hidden, first, last: stored.head.revision, amendments };
      const { steps, next } = await this.#read(reading, pageSizeOf(request.pageSize));
      return create(ListStepsResponseSchema, {
        steps,
        nextPageToken: next === undefined ? "" : encodePageToken(scope, String(next)),
      });
    });
  }

  /** Steps from a revision on, and the revision where the next page begins. */
  async #read(
    { log, hidden, first, last, amendments }: Reading,
    pageSize: number,
  ): Promise<{ steps: Step[]; next?: number }> {
    const reader = new StepReader();
    const steps: Step[] = [];
    let bytes = 0;
    const add = (step: Step) => {
      steps.push(step);
      bytes += toBinary(StepSchema, step).length;
    };
    let next = first;
    while (next <= last && next - first < scannedPerPage) {
      const page = await this.#events({ log, hidden, first: next, last });
      const { events } = page;
      for (const event of events) {
        const call = await this.#callOf(log, event, events);
        // One at a time: arguments of many calls are more than a page holds.
        const whole = reader.take(
          await asAmended(event, amendments),
          call && (await asAmended(call, amendments)),
        );
        if (whole === undefined) continue;
        add(whole);
        if (steps.length >= pageSize || bytes > limits.pageBytes) {
          return { steps, next: event.revision };
        }
      }
      next = page.next;
    }
    const final = reader.end();
    if (final !== undefined) add(final);
    return next > last ? { steps } : { steps, next };
  }

  /** The call that a result answers; undefined for any other event. */
  async #callOf(log: LogPlaces, event: Event, near: readonly Event[]): Promise<Event | undefined> {
    const { payload, callRevision } = event;
    if (payload.case !== "toolResult" || callRevision === 0) return undefined;
    const known = near.find(({ revision }) => revision === callRevision);
    if (known !== undefined) return known;
    return this.#event(log, callRevision);
  }

  async #event(log: LogPlaces, revision: number): Promise<Event | undefined> {
    const { events } = await this.#events({ log, hidden: [], first: revision, last: revision });
    return events[0];
  }

  #events(range: Range): Promise<{ events: Event[]; next: number }> {
    return readVisible(this.#store, {
      ...range,
      maxEvents: chunkEvents,
      maxBytes: limits.pageBytes,
    });
  }
}

/** The revision a page begins at. Errors: PageTokenInvalidError for one made up by a caller. */
function parseRevision(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new PageTokenInvalidError("malformed");
  return Number(text);
}
