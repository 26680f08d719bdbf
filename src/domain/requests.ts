import { createHash } from "node:crypto";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { RequestRecordSchema } from "@sessiond/contract/store";
import { RequestIdReusedError } from "../errors.ts";
import type { Clock } from "../ids.ts";
import { limits } from "../limits.ts";
import { requestKey } from "../store/keys.ts";
import type { Change, Store } from "../store/store.ts";
import { canonicalBytes } from "./canonical.ts";

/** A mutation as its caller sent it. */
export interface Request<Req extends DescMessage, Res extends DescMessage> {
  readonly namespace: string;
  readonly sessionId: string;
  readonly schema: Req;
  readonly message: MessageShape<Req> & { requestId: string };
  readonly responseSchema: Res;
  /** Absent: the whole answer is remembered. */
  readonly memory?: Memory<Res>;
}

/** Remembers a part of an answer, where the rest is too large or too secret to be stored with it. */
export interface Memory<Res extends DescMessage> {
  /** The part that is stored. Changes nothing. */
  part(response: MessageShape<Res>): MessageShape<Res>;
  /** Makes an answer to a repeat of the part that was stored. */
  whole(part: MessageShape<Res>): Promise<MessageShape<Res>>;
}

/** Makes the record that a change carries, from the answer it leads to. */
export type Remember<Res extends DescMessage> = (
  response: MessageShape<Res>,
) => Change["request"] | undefined;

/**
 * Gives every request id one effect and one answer (promise: Idempotent).
 *
 * The answer, or the part of it that is remembered, is stored in the same commit as the effect. A request
 * whose twin is under way waits for it and shares its outcome.
 */
export class Requests {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #underWay = new Map<string, { hash: Buffer; response: Promise<unknown> }>();

  constructor({ store, clock }: { store: Store; clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /**
   * Runs the request, unless it ran before.
   *
   * Errors: RequestIdReusedError, and those of `run`.
   */
  async once<Req extends DescMessage, Res extends DescMessage>(
    request: Request<Req, Res>,
    run: (remember: Remember<Res>) => Promise<MessageShape<Res>>,
  ): Promise<MessageShape<Res>> {
    const { requestId } = request.message;
    if (requestId === "") return run(() => undefined);

    const key = requestKey({ ...request, requestId });
    const hash = payloadHash(request);
    const name = Buffer.from(key).toString("latin1");
    const twin = this.#underWay.get(name);
    if (twin !== undefined) {
      if (!twin.hash.equals(hash)) throw new RequestIdReusedError({ requestId });
      return (await twin.response) as MessageShape<Res>;
    }
    const response = this.#look(key, hash, request, run);
    this.#underWay.set(name, { hash, response });
    try {
      return await response;
    } finally {
      this.#underWay.delete(name);
    }
  }

  async #look<Req extends DescMessage, Res extends DescMessage>(
    key: Uint8Array,
    hash: Buffer,
    { message: { requestId }, responseSchema, memory }: Request<Req, Res>,
    run: (remember: Remember<Res>) => Promise<MessageShape<Res>>,
  ): Promise<MessageShape<Res>> {
    const record = await this.#store.getRequest(key);
    if (record !== undefined) {
      if (!hash.equals(record.payloadHash)) throw new RequestIdReusedError({ requestId });
      const found = fromBinary(responseSchema, record.response);
      return memory === undefined ? found : memory.whole(found);
    }
    return run((response) => ({
      key,
      record: create(RequestRecordSchema, {
        payloadHash: hash,
        response: toBinary(responseSchema, memory?.part(response) ?? response),
      }),
      expireTimeMs: this.#clock() + limits.requestIdTtlMs,
    }));
  }
}

/** Enough that two requests of one id do not look alike by chance. */
const payloadHashBytes = 16;

/** Hash of everything a request says, so that an id used for something else is noticed. */
function payloadHash<Req extends DescMessage, Res extends DescMessage>({
  schema,
  message,
}: Request<Req, Res>): Buffer {
  const bytes = canonicalBytes(schema, message);
  const digest = createHash("sha256").update(schema.typeName).update(bytes).digest();
  return digest.subarray(0, payloadHashBytes);
}
