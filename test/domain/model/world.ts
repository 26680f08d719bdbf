import type { Message } from "@bufbuild/protobuf";
import { SessiondError } from "../../../src/errors.ts";
import { isRefused, Model, type Refused } from "./model.ts";
import type { Real } from "./real.ts";

/** A call with a request id that was answered; a repetition gets the same answer. */
export interface Remembered {
  readonly atMs: number;
  readonly answer: Message;
  /** Makes the call again, as it was. */
  readonly again: () => Promise<Message>;
  /** Makes it with the same id and something else in it. */
  readonly otherwise: () => Promise<Message>;
}

/** The model, and what a run needs beside it. */
export class World {
  readonly model = new Model();
  readonly remembered: Remembered[] = [];
  /** Etags that sessions had, by uid; the newest last. */
  readonly etags = new Map<string, string[]>();
  /** The clock was set back, so that what its time had ended may go on. */
  wasSetBack = false;
  #requests = 0;

  /** A request id that was not used before; "" for a call that cannot be repeated. */
  requestId(isRepeatable: boolean): string {
    return isRepeatable ? `request ${++this.#requests}` : "";
  }

  /** Keeps an answered call for later repetition, if it has an id. */
  remember<Req extends { requestId: string }>(
    request: Req,
    answer: Message | Refused,
    call: (request: Req) => Promise<Message>,
    otherwise: (request: Req) => Req,
  ): void {
    if (request.requestId === "" || isRefused(answer)) return;
    this.remembered.push({
      atMs: this.model.nowMs,
      answer,
      again: () => call(request),
      otherwise: () => call(otherwise(request)),
    });
  }
}

/** The answer of a call, or the reason it is refused for. Errors: all that are no refusals. */
export async function answerOf<T extends object>(call: Promise<T>): Promise<T | Refused> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof SessiondError) return { refused: error.reason };
    throw error;
  }
}

/** Something that may happen to the sessions of a world. */
export interface Happening {
  /** Whether it can happen now. Default: always. */
  readonly canRun?: (world: Pick<World, "model" | "remembered">) => boolean;
  /** Makes it happen to both sides and compares what they say. */
  readonly run: (world: World, real: Real) => Promise<void>;
  readonly toString: () => string;
}
