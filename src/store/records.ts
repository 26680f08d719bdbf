import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { DataLossError } from "../errors.ts";

/*
 * A stored value:
 *
 *   format (1)      bits 0-4: version of this layout, 1; bit 5: the next event belongs to the same
 *                   batch (events only); bit 6: the content is compressed (zstd); bit 7: 0
 *   checksum (4)    CRC-32 of the key, the format and the content as stored, big endian
 *   content         usually a message of `sessiond.store.v1` or `sessiond.v1` in binary form
 *
 * The key is part of the checksum, so a value that turns up under another key is found out too.
 */
const HEADER_BYTES = 5;
const FORMAT = 1;
const CONTINUES = 0x20;
const COMPRESSED = 0x40;
const NO_FORMAT = Buffer.of(0);

/**
 * Contents from this size on are compressed when that makes them smaller: about 20 microseconds
 * each way for a few kilobytes, 2 ms for a megabyte. Below it a disk page saves little.
 */
const COMPRESS_FROM_BYTES = 1_024;
/** Larger than any content, so that a damaged length cannot make the process allocate at will. */
const MAX_CONTENT_BYTES = 64 * 1024 * 1024;

/** Names a record in an error: what it is, and whose. */
export interface RecordName {
  readonly record: string;
  readonly sessionUid?: string;
}

/**
 * Puts a content into the form it is stored in under the key. `continues`: it is an event, and the
 * next one belongs to the same batch.
 */
export function encodeRecord(key: Uint8Array, content: Uint8Array, continues = false): Buffer {
  const compressed = compress(content);
  const stored = compressed ?? content;
  const value = Buffer.allocUnsafe(HEADER_BYTES + stored.length);
  value[0] = FORMAT | (compressed === undefined ? 0 : COMPRESSED) | (continues ? CONTINUES : 0);
  value.set(stored, HEADER_BYTES);
  value.writeUInt32BE(checksum(key, value[0] ?? 0, stored), 1);
  return value;
}

/**
 * Gives back the content of a stored value.
 *
 * Errors: DataLossError when the value is not what was written under the key.
 */
export function decodeRecord(key: Uint8Array, value: Buffer, name: () => RecordName): Uint8Array {
  const format = value[0] ?? 0;
  const stored = value.subarray(HEADER_BYTES);
  if (value.length < HEADER_BYTES || checksum(key, format, stored) !== value.readUInt32BE(1)) {
    throw new DataLossError(name());
  }
  if ((format & ~(CONTINUES | COMPRESSED)) !== FORMAT) {
    throw new DataLossError({ ...name(), cause: new Error(`unknown format ${format}`) });
  }
  if ((format & COMPRESSED) === 0) return plain(stored);
  try {
    return plain(zstdDecompressSync(stored, { maxOutputLength: MAX_CONTENT_BYTES }));
  } catch (cause) {
    throw new DataLossError({ ...name(), cause });
  }
}

/** The event in this stored value is followed by one of the same batch. */
export function continuesBatch(value: Buffer): boolean {
  return ((value[0] ?? 0) & CONTINUES) !== 0;
}

/** The same bytes as no Buffer: messages hand out parts of what they were decoded from. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** A format alone, made once: a walk through many small records would make as many parts of them. */
const formatBytes = Array.from({ length: 256 }, (_, format) => Buffer.of(format));

function checksum(key: Uint8Array, format: number, stored: Uint8Array): number {
  return crc32(stored, crc32(formatBytes[format] ?? NO_FORMAT, crc32(key)));
}

function compress(content: Uint8Array): Buffer | undefined {
  if (content.length < COMPRESS_FROM_BYTES) return undefined;
  const compressed = zstdCompressSync(content, {
    params: { [constants.ZSTD_c_compressionLevel]: 1 },
  });
  return compressed.length < content.length ? compressed : undefined;
}
