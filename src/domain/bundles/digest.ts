import { createHash } from "node:crypto";
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import {
  type BundleFooter,
  BundleFooterSchema,
  type Event,
  EventSchema,
  type Session,
  SessionSchema,
} from "@sessiond/contract";
import { canonicalBytes } from "../canonical.ts";

/** The checksum of a session that travels: see `BundleFooter.sha256` in the contract. */
export class BundleDigest {
  readonly #hash = createHash("sha256");

  /** Its name is left out, so that it is known again under another. */
  session(session: Session): void {
    this.#add(SessionSchema, { ...session, sessionId: "" });
  }

  event(event: Event): void {
    this.#add(EventSchema, event);
  }

  /** The checksum, of which the footer is the last part. */
  end(footer: BundleFooter): string {
    this.#add(BundleFooterSchema, { ...footer, sha256: "" });
    return this.#hash.digest("hex");
  }

  #add<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): void {
    const bytes = canonicalBytes(schema, message);
    const length = Buffer.allocUnsafe(4);
    length.writeUInt32BE(bytes.length);
    this.#hash.update(length).update(bytes);
  }
}
