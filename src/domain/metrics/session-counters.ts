import { create } from "@bufbuild/protobuf";
import {
  EventSchema,
  type GetSessionMetricsRequest,
  GetSessionMetricsRequestSchema,
  type GetSessionMetricsResponse,
  GetSessionMetricsResponseSchema,
  type RecordRequestRequest,
  RecordRequestRequestSchema,
  type RecordRequestResponse,
  RecordRequestResponseSchema,
  RequestRecordedSchema,
} from "@sessiond/contract";
import { InvalidFieldError } from "../../errors.ts";
import type { Clock } from "../../ids.ts";
import { remembered } from "../answers.ts";
import { appendEvents } from "../decisions.ts";
import { hintsFor } from "../hints.ts";
import { asOf } from "../lifecycle/lapse.ts";
import { namespaceOf } from "../names.ts";
import type { Quotas } from "../quotas/quotas.ts";
import { withoutEnd } from "../record.ts";
import type { Requests } from "../requests.ts";
import type { SessionCells } from "../session-cells.ts";
import { checkLogSize } from "../sizes.ts";
import { validate } from "../validation/validate.ts";
import { metricsView } from "../views.ts";

/** Records the requests of agents, and gives the counters of a session. */
export class SessionCounters {
  readonly #cells: SessionCells;
  readonly #requests: Requests;
  readonly #quotas: Quotas;
  readonly #clock: Clock;

  constructor(args: {
    cells: SessionCells;
    requests: Requests;
    quotas: Quotas;
    clock: Clock;
  }) {
    this.#cells = args.cells;
    this.#requests = args.requests;
    this.#quotas = args.quotas;
    this.#clock = args.clock;
  }

  /** Errors: as documented at the rpc; so for all methods here. */
  async record(request: RecordRequestRequest): Promise<RecordRequestResponse> {
    validate(RecordRequestRequestSchema, request);
    const { namespace, sessionId, processingTime, error, count } = request;
    if (count === false && processingTime === undefined && error === undefined) {
      throw new InvalidFieldError({
        field: "count",
        description: "is false, and there is neither processing_time nor error: nothing to record",
      });
    }
    const name = { namespace: namespaceOf(namespace), sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: RecordRequestRequestSchema,
        message: request,
        responseSchema: RecordRequestResponseSchema,
      },
      (remember) =>
        this.#quotas.within(name, (admit) =>
          this.#cells.use(name, async (cell) => {
            const value = create(RequestRecordedSchema, {
              ...(processingTime && { processingTime }),
              ...(error && { error }),
              ...(count !== undefined && { count }),
            });
            const event = create(EventSchema, { payload: { case: "requestRecorded", value } });
            const before = cell.requireLatest();
            const outcome = appendEvents(before, [{ event }], this.#clock());
            checkLogSize(outcome, 1);
            admit(before, outcome.after);
            const { after, events } = outcome;
            const { requests } = after.head.metrics ?? {};
            const response = create(RecordRequestResponseSchema, {
              revision: withoutEnd(events).at(-1)?.revision ?? 0,
              ...(requests && { requests }),
              hints: hintsFor(after),
              state: after.session.state,
            });
            await cell.commit({ ...outcome, ...remembered(remember(response)) });
            return response;
          }),
        ),
    );
  }

  async get(request: GetSessionMetricsRequest): Promise<GetSessionMetricsResponse> {
    validate(GetSessionMetricsRequestSchema, request);
    const { namespace, sessionId } = request;
    return this.#cells.use({ namespace: namespaceOf(namespace), sessionId }, (cell) => {
      const metrics = metricsView(asOf(cell.requireDurable(), this.#clock()));
      return create(GetSessionMetricsResponseSchema, { metrics });
    });
  }
}
