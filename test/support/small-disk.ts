import { spawnSync } from "node:child_process";
import { mkdtemp, rmdir, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of its own. Disposing takes it away, with all that is on it. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
  freeBytes(): Promise<number>;
}

const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];

/** Whether `mountSmallDisk` can work here. */
export async function canMount(): Promise<boolean> {
  try {
    await using _ = await mountSmallDisk(1);
    return true;
  } catch {
    return false;
  }
}

/** Mounts a tmpfs. Nothing may use it any more when it is disposed. */
export async function mountSmallDisk(mebibytes: number): Promise<SmallDisk> {
  const path = await mkdtemp(join(tmpdir(), "sessiond-disk-"));
  const owner = `uid=${process.getuid?.()},mode=700`;
  runAsRoot("mount", "-t", "tmpfs", "-o", `size=${mebibytes}m,${owner}`, "tmpfs", path);
  return {
    path,
    async freeBytes() {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    },
    async [Symbol.asyncDispose]() {
      runAsRoot("umount", path);
      await rmdir(path);
    },
  };
}

function runAsRoot(...command: readonly string[]): void {
  const [name = "", ...args] = [...asRoot, ...command];
  const { status, error, stderr } = spawnSync(name, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")} failed: ${error?.message ?? stderr}`);
}
