import { create } from "@bufbuild/protobuf";
import {
  type CancelSessionRequest,
  CancelSessionRequestSchema,
  type CancelSessionResponse,
  CancelSessionResponseSchema,
  type ReopenSessionRequest,
  ReopenSessionRequestSchema,
  type ReopenSessionResponse,
  ReopenSessionResponseSchema,
  SessionEndSchema,
  SessionState,
  type TraceContext,
} from "@sessiond/contract";
import type { Clock } from "../../ids.ts";
import { remembered, withoutEffect } from "../answers.ts";
import { namespaceOf } from "../names.ts";
import type { Quotas } from "../quotas/quotas.ts";
import type { Requests } from "../requests.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { currentView, sessionView } from "../views.ts";
import { endSession } from "./end.ts";
import { reopenSession } from "./reopen.ts";

/** Cancels sessions and opens them again. */
export class Lifecycle {
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
  async cancel(
    request: CancelSessionRequest,
    trace?: TraceContext,
  ): Promise<CancelSessionResponse> {
    validate(CancelSessionRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: CancelSessionRequestSchema,
        message: request,
        responseSchema: CancelSessionResponseSchema,
      },
      (remember) =>
        this.#cells.use(name, async (cell) => {
          const before = cell.requireLatest();
          const nowMs = this.#clock();
          const end = create(SessionEndSchema, { reason: request.reason });
          const outcome = endSession(before, { state: SessionState.CANCELLED, end, trace }, nowMs);
          const response = create(CancelSessionResponseSchema, {
            session: outcome ? sessionView(outcome.after) : currentView(before, nowMs),
            cancelled: outcome !== undefined,
          });
          if (outcome === undefined) return withoutEffect(cell, response, remember(response));
          await cell.commit({ ...outcome, ...remembered(remember(response)) });
          return response;
        }),
    );
  }

  async reopen(
    request: ReopenSessionRequest,
    trace?: TraceContext,
  ): Promise<ReopenSessionResponse> {
    validate(ReopenSessionRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    return this.#requests.once(
      {
        ...name,
        schema: ReopenSessionRequestSchema,
        message: request,
        responseSchema: ReopenSessionResponseSchema,
      },
      (remember) =>
        this.#quotas.within(name, (admit) =>
          this.#cells.use(name, async (cell) => {
            const before = cell.requireLatest();
            const outcome = reopenSession(before, request.reason, this.#clock(), trace);
            const response = create(ReopenSessionResponseSchema, {
              session: sessionView(outcome?.after ?? before),
              reopened: outcome !== undefined,
            });
            if (outcome === undefined) return withoutEffect(cell, response, remember(response));
            admit(before, outcome.after);
            await cell.commit({ ...outcome, ...remembered(remember(response)) });
            return response;
          }),
        ),
    );
  }
}
