import { closeSync, openSync, readSync } from "node:fs";
import { errorCode } from "./errors.ts";

/*
 * An LMDB file begins with two meta pages. Of each, little endian:
 *
 *   18   page flags (2), 0x08 for a meta page
 *   24   magic (4)
 *   48   page size (4)
 */
const FLAGS_AT = 18;
const MAGIC_AT = 24;
const PAGE_SIZE_AT = 48;
const META_BYTES = 168;

const META_FLAG = 0x08;
const MAGIC = 0xbeef_c0de;

/**
 * Throws unless a file begins like one of LMDB; a file that is missing or empty is fine.
 *
 * The driver ends the process (segmentation fault, 3.5.6) when it opens anything else.
 */
export function assertMetaPages(file: string): void {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    throw error;
  }
  try {
    const meta = Buffer.alloc(META_BYTES);
    if (readSync(fd, meta, 0, META_BYTES, 0) === 0) return;
    const pageSize = meta.readUInt32LE(PAGE_SIZE_AT);
    const second = Buffer.alloc(META_BYTES);
    if (isMeta(meta)) readSync(fd, second, 0, META_BYTES, pageSize);
    if (!isMeta(meta) || !isMeta(second)) throw new Error("it is no LMDB file, or damaged");
  } finally {
    closeSync(fd);
  }
}

function isMeta(page: Buffer): boolean {
  return page.readUInt16LE(FLAGS_AT) === META_FLAG && page.readUInt32LE(MAGIC_AT) === MAGIC;
}
