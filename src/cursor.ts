import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { CursorInvalidError, PageTokenInvalidError } from "./errors.ts";

/*
 * Cursors and page tokens are opaque to callers: base64url of
 *
 *   kind (1 byte) | scope (16 bytes) | position (0 to 300 bytes) | CRC-32 of all before (4 bytes)
 *
 * The position of a cursor is a place (8 bytes), and if it lies behind it, what is known through (8).
 *
 * `scope` is a hash of what the position belongs to (store and session, or a list query), so that
 * a position is never taken for one of another place.
 */
const kinds = { session: 1, namespace: 2, page: 3 } as const;
type Kind = keyof typeof kinds;

const scopeBytes = 16;
const checksumBytes = 4;
const maxTextLength = 600;

/** What a cursor belongs to; any difference makes another scope. */
export function scopeOf(...parts: readonly (string | Uint8Array)[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) {
    const bytes = typeof part === "string" ? Buffer.from(part) : part;
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    hash.update(length).update(bytes);
  }
  return hash.digest().subarray(0, scopeBytes);
}

function seal(kind: Kind, scope: Uint8Array, position: Uint8Array): string {
  const body = Buffer.concat([Buffer.of(kinds[kind]), scope, position]);
  const checksum = Buffer.alloc(checksumBytes);
  checksum.writeUInt32BE(crc32(body));
  return Buffer.concat([body, checksum]).toString("base64url");
}

type Opened =
  | { readonly ok: true; readonly position: Buffer }
  | { readonly ok: false; readonly why: "malformed" | "foreign" };

function unseal(kind: Kind, scope: Uint8Array, text: string): Opened {
  const malformed = { ok: false, why: "malformed" } as const;
  if (text.length > maxTextLength || !/^[A-Za-z0-9_-]+$/.test(text)) return malformed;
  const bytes = Buffer.from(text, "base64url");
  const bodyLength = bytes.length - checksumBytes;
  if (bodyLength < 1 + scopeBytes) return malformed;
  const body = bytes.subarray(0, bodyLength);
  if (crc32(body) !== bytes.readUInt32BE(bodyLength)) return malformed;
  if (body[0] !== kinds[kind] || !body.subarray(1, 1 + scopeBytes).equals(scope)) {
    return { ok: false, why: "foreign" };
  }
  return { ok: true, position: body.subarray(1 + scopeBytes) };
}

/** A place in the log of one session (a revision) or of one namespace (an offset). */
export interface CursorPlace {
  readonly place: number;
  /**
   * Not before `place`. Deletions up to here, told or not, are no news to the reader: it began at the
   * beginning when they were gone already, so it has seen nothing of those sessions.
   */
  readonly knownThrough: number;
}

export interface CursorCodec {
  encode(place: number, knownThrough?: number): string;
  /** Errors: CursorInvalidError for one that is damaged or from elsewhere. */
  decode(cursor: string): CursorPlace;
}

export function cursorCodec(kind: "session" | "namespace", scope: Uint8Array): CursorCodec {
  return {
    encode(place, knownThrough = place) {
      const numbers = knownThrough > place ? [place, knownThrough] : [place];
      const position = Buffer.alloc(8 * numbers.length);
      for (const [i, number] of numbers.entries()) position.writeBigUInt64BE(BigInt(number), 8 * i);
      return seal(kind, scope, position);
    },
    decode(cursor) {
      const opened = unseal(kind, scope, cursor);
      if (!opened.ok || ![8, 16].includes(opened.position.length)) {
        throw new CursorInvalidError(
          opened.ok || opened.why === "malformed"
            ? "is malformed"
            : `is from another store, or not of this ${kind}`,
        );
      }
      const { position } = opened;
      const place = Number(position.readBigUInt64BE());
      if (position.length === 8) return { place, knownThrough: place };
      return { place, knownThrough: Math.max(place, Number(position.readBigUInt64BE(8))) };
    },
  };
}

/** Encodes the place behind a page of the list that `scope` describes. */
export function encodePageToken(scope: Uint8Array, position: string): string {
  return seal("page", scope, Buffer.from(position));
}

/** Errors: PageTokenInvalidError. */
export function decodePageToken(scope: Uint8Array, token: string): string {
  const opened = unseal("page", scope, token);
  if (!opened.ok) {
    throw new PageTokenInvalidError(opened.why === "malformed" ? "malformed" : "of another query");
  }
  return opened.position.toString();
}
