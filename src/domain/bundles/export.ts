import { create } from "@bufbuild/protobuf";
import {
  BundleEventsSchema,
  BundleHeaderSchema,
  type ExportSessionRequest,
  ExportSessionRequestSchema,
  type ExportSessionResponse,
  ExportSessionResponseSchema,
} from "@sessiond/contract";
import { SessionDeletedError, ShuttingDownError, TooManyCallsError } from "../../errors.ts";
import { limits } from "../../limits.ts";
import { placesOf, readLog } from "../../store/log.ts";
import type { Store, StoredSession } from "../../store/store.ts";
import { namespaceOf } from "../names.ts";
import type { SessionCells } from "../session-cells.ts";
import { validate } from "../validation/validate.ts";
import { BundleDigest } from "./digest.ts";
import { footerOf, headerSession } from "./parts.ts";

/** Streams sessions whole. */
export class Exports {
  readonly #store: Store;
  readonly #cells: SessionCells;
  readonly #shutdown: AbortSignal;
  #open = 0;

  constructor(args: {
    store: Store;
    cells: SessionCells;
    /** Fires when the server is about to stop; ends exports. */
    shutdown: AbortSignal;
  }) {
    this.#store = args.store;
    this.#cells = args.cells;
    this.#shutdown = args.shutdown;
  }

  /** Errors: as documented at the rpc. */
  async *session(request: ExportSessionRequest): AsyncGenerator<ExportSessionResponse> {
    validate(ExportSessionRequestSchema, request);
    const name = { namespace: namespaceOf(request.namespace), sessionId: request.sessionId };
    if (this.#open >= limits.exports) throw new TooManyCallsError({ limit: limits.exports });
    this.#open++;
    try {
      // The log of a uid only grows, so nothing holds the session while its reader takes its time.
      const stored = await this.#cells.use(name, (cell) => cell.requireDurable());
      for await (const part of exportParts(this.#store, stored)) {
        if (this.#shutdown.aborted) throw new ShuttingDownError();
        yield part;
      }
    } finally {
      this.#open--;
    }
  }
}

/**
 * A session as it is stored, in the parts it travels in. Reads the next part when it is asked for.
 *
 * Errors: SessionDeletedError when it is deleted meanwhile; DataLossError.
 */
export async function* exportParts(
  store: Pick<Store, "readEvents">,
  stored: StoredSession,
): AsyncGenerator<ExportSessionResponse> {
  const { sessionId } = stored.session;
  const log = placesOf(stored);
  const digest = new BundleDigest();
  const session = headerSession(stored.session);
  digest.session(session);
  yield part({ case: "header", value: create(BundleHeaderSchema, { session }) });
  for (let next = 1; next <= stored.head.revision; ) {
    const events = await readLog(store, {
      log,
      first: next,
      last: stored.head.revision,
      maxEvents: limits.bundleEvents,
      maxBytes: limits.bundleBytes,
    });
    for (const event of events) {
      // Housekeeping frees the log of a deleted session from its beginning.
      if (event.revision !== next) throw new SessionDeletedError({ sessionId });
      digest.event(event);
      next++;
    }
    if (events.length === 0) throw new SessionDeletedError({ sessionId });
    yield part({ case: "events", value: create(BundleEventsSchema, { events }) });
  }
  const footer = footerOf(stored);
  footer.sha256 = digest.end(footer);
  yield part({ case: "footer", value: footer });
}

function part(value: ExportSessionResponse["part"]): ExportSessionResponse {
  return create(ExportSessionResponseSchema, { part: value });
}
