import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { safe } from "../text/safe.ts";

const run = promisify(execFile);
/** A file system that does not answer is not to hold up a chat. */
const timeoutMs = 5_000;

/** The git commit that a folder is at; undefined outside of a repository and without git. */
export async function fingerprintOf(folder: string): Promise<string | undefined> {
  try {
    const { stdout } = await run("git", ["rev-parse", "HEAD"], { cwd: folder, timeout: timeoutMs });
    return stdout.trim() || undefined;
  } catch {
    return undefined;
  }
}

/** What a warning says about a session that was begun on other code; undefined: it was not. */
export function changeOf(before: string, now: string | undefined): string | undefined {
  if (before === "" || now === undefined || before === now) return undefined;
  return `${short(before)} → ${short(now)}`;
}

/** A commit in the short form of git; what is none stays whole. */
function short(fingerprint: string): string {
  return /^[0-9a-f]{40,64}$/.test(fingerprint) ? fingerprint.slice(0, 7) : safe(fingerprint);
}
