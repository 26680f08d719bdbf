import type { DescMethod, DescService } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectError,
  type ContextValues,
  createContextValues,
  type HandlerContext,
} from "@connectrpc/connect";
import type { Metadata, ServerUnaryCall } from "@grpc/grpc-js";
import { abandoned } from "./errors.ts";
import { toMetadata } from "./grpc-status.ts";

/** What all kinds of grpc-js calls have in common. */
export interface SurfaceCall
  extends Pick<
    ServerUnaryCall<unknown, unknown>,
    "cancelled" | "metadata" | "getDeadline" | "getHost" | "getPath"
  > {
  once(event: "cancelled", listener: () => void): unknown;
}

/**
 * Why signals fired. Each is made once: a signal also fires after a call that went well, where the
 * stack would cost most.
 */
const reasons: { canceled?: ConnectError; deadlineExceeded?: ConnectError } = {};

/** A timer may fire this long before the clock says so. */
const TIMER_SLACK_MS = 5;

/**
 * What a service sees of a gRPC call beside its request.
 *
 * Signal, headers and values are made when they are first asked for: most calls need none of
 * them, and making them costs a fifth of a small call.
 */
export class GrpcContext implements HandlerContext {
  readonly method: DescMethod;
  readonly protocolName = "grpc";
  readonly requestMethod = "POST";
  readonly #call: SurfaceCall;
  #aborter: AbortController | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;

  constructor(call: SurfaceCall, method: DescMethod) {
    this.#call = call;
    this.method = method;
  }

  get service(): DescService {
    return this.method.parent;
  }

  /** Aborted when the client cancels or hangs up, at the deadline, and after the call. */
  get signal(): AbortSignal {
    if (this.#aborter === undefined) {
      const aborter = new AbortController();
      const abort = () => {
        const late = (this.timeoutMs() ?? Number.POSITIVE_INFINITY) <= TIMER_SLACK_MS;
        aborter.abort(late ? deadlineExceeded() : canceled());
      };
      this.#aborter = aborter;
      if (this.#call.cancelled) {
        abort();
      } else {
        this.#call.once("cancelled", abort);
      }
    }
    return this.#aborter.signal;
  }

  readonly timeoutMs = (): number | undefined => {
    const deadlineMs = Number(this.#call.getDeadline());
    return deadlineMs === Number.POSITIVE_INFINITY ? undefined : deadlineMs - Date.now();
  };

  /** One header of the request, without making all of them. Absent: undefined; several are joined. */
  header(name: string): string | undefined {
    const values = this.#call.metadata.get(name);
    return values.length === 0 ? undefined : values.join(",");
  }

  get requestHeader(): Headers {
    if (this.#requestHeader === undefined) {
      const headers = new Headers();
      for (const [name, values] of Object.entries(this.#call.metadata.toHttp2Headers())) {
        for (const value of [values].flat()) {
          headers.append(name, String(value));
        }
      }
      this.#requestHeader = headers;
    }
    return this.#requestHeader;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  get values(): ContextValues {
    this.#values ??= createContextValues();
    return this.#values;
  }

  get url(): string {
    return `http://${this.#call.getHost()}${this.#call.getPath()}`;
  }

  /** Headers the service asked for. Absent: none. */
  get headerToSend(): Metadata | undefined {
    return this.#responseHeader && toMetadata(this.#responseHeader);
  }

  /** Trailers the service asked for. Absent: none. */
  get trailerToSend(): Metadata | undefined {
    return this.#responseTrailer && toMetadata(this.#responseTrailer);
  }
}

function canceled(): ConnectError {
  reasons.canceled ??= abandoned(Code.Canceled);
  return reasons.canceled;
}

function deadlineExceeded(): ConnectError {
  reasons.deadlineExceeded ??= abandoned(Code.DeadlineExceeded);
  return reasons.deadlineExceeded;
}
