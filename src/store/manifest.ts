import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { StartError } from "../errors.ts";
import { syncPath } from "./files.ts";

/** File in a backup that says what it is. A folder with it is no data folder. */
export const MANIFEST_FILE = "backup.json";

const FORMAT = "sessiond backup 1";

/** What a backup says of itself. */
export interface Manifest {
  /** Version of sessiond that wrote it. */
  readonly version: string;
  readonly schemaVersion: number;
  /** Of the store it was made of, in hexadecimal digits. A restored store gets another. */
  readonly storeId: string;
  /** When the copy was begun, in ISO 8601. */
  readonly createTime: string;
  readonly fileBytes: number;
  /** Records of each table, as they were counted in the copy. */
  readonly records: Readonly<Record<string, number>>;
  readonly sessions: number;
  readonly events: number;
  /** What verifying the copy found; 0 when all was well. */
  readonly findings: number;
}

/** Writes the manifest of a backup, synced to disk. */
export async function writeManifest(folder: string, manifest: Manifest): Promise<void> {
  const file = join(folder, MANIFEST_FILE);
  const text = JSON.stringify({ format: FORMAT, ...manifest }, undefined, 2);
  await writeFile(file, `${text}\n`, { mode: 0o600 });
  await syncPath(file);
  await syncPath(folder);
}

/** Reads the manifest of a backup. Errors: StartError when the folder has none that can be read. */
export async function readManifest(folder: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(join(folder, MANIFEST_FILE), "utf8");
  } catch (cause) {
    throw new StartError(
      `${folder} is no backup: there is no ${MANIFEST_FILE} in it; name a folder that "sessiond backup" made`,
      cause,
    );
  }
  const manifest = parse(text);
  if (manifest === undefined) {
    throw new StartError(
      `${MANIFEST_FILE} in ${folder} is damaged or of a newer sessiond; use another backup, or that version`,
    );
  }
  return manifest;
}

function parse(text: string): Manifest | undefined {
  try {
    const value = JSON.parse(text) as Partial<Manifest> & { format?: unknown };
    const { format, storeId, records, fileBytes } = value;
    const isOne = format === FORMAT && typeof storeId === "string" && typeof fileBytes === "number";
    return isOne && typeof records === "object" ? (value as Manifest) : undefined;
  } catch {
    return undefined;
  }
}
