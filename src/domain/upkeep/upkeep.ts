import { create } from "@bufbuild/protobuf";
import {
  type BackupRequest,
  BackupRequestSchema,
  type BackupResponse,
  BackupResponseSchema,
  type StatRequest,
  StatRequestSchema,
  type StoreStat,
  type VerifyRequest,
  VerifyRequestSchema,
  type VerifyResponse,
  VerifyResponseSchema,
} from "@sessiond/contract";
import { validate } from "../validation/validate.ts";
import { type BackupOptions, backupStore } from "./backup.ts";
import { Exclusive } from "./exclusive.ts";
import { statOf } from "./stat.ts";
import { verifyStore } from "./verify/verify.ts";

/** What an operator asks of a store that is in use. */
export class Upkeep {
  readonly #options: BackupOptions;
  readonly #exclusive: Exclusive<"verify" | "backup">;

  constructor(options: BackupOptions & { shutdown: AbortSignal }) {
    this.#options = options;
    this.#exclusive = new Exclusive(options.shutdown);
  }

  /** Errors: as documented at the rpc; so for all methods here. */
  async *verify(request: VerifyRequest, signal: AbortSignal): AsyncGenerator<VerifyResponse> {
    validate(VerifyRequestSchema, request);
    const { store, clock } = this.#options;
    const messages = this.#exclusive.run("verify", signal, (stop) =>
      verifyStore(store, stop, clock()),
    );
    for await (const message of messages) yield create(VerifyResponseSchema, { message });
  }

  async *backup(request: BackupRequest, signal: AbortSignal): AsyncGenerator<BackupResponse> {
    validate(BackupRequestSchema, request);
    const messages = this.#exclusive.run("backup", signal, (stop) =>
      backupStore(this.#options, request.path, stop),
    );
    for await (const message of messages) yield create(BackupResponseSchema, { message });
  }

  /** All but `store`, which the server knows. */
  async stat(request: StatRequest): Promise<StoreStat> {
    validate(StatRequestSchema, request);
    return statOf(this.#options);
  }

  /** Ends what is under way; waits for a copy, which cannot be stopped. */
  close(): Promise<void> {
    return this.#exclusive.close();
  }
}
