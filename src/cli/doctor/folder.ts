import { mkdtemp, open, rm, stat, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Finding, notOk, ok, reasonOf } from "./finding.ts";

const MiB = 1024 * 1024;
/** The store refuses writes below this; see its space guard. */
const reserveBytes = 64 * MiB;
const comfortableBytes = 1024 * MiB;

/** Types of file systems by the magic numbers of Linux (statfs(2)). */
const fileSystems: Readonly<Record<number, string>> = {
  61267: "ext4",
  1481003842: "xfs",
  2435016766: "btrfs",
  801189825: "zfs",
  2035054128: "overlay",
  16914836: "tmpfs",
  2240043254: "ramfs",
  26985: "nfs",
  4283649346: "cifs",
  4266872130: "smb2",
  16914839: "9p",
  1702057286: "fuse",
  12805120: "ceph",
};
const inMemory = ["tmpfs", "ramfs"];
/** File locks and memory maps are not what they are on a disk. */
const remote = ["nfs", "cifs", "smb2", "9p", "fuse", "ceph"];

/** Whether the data folder, or the folder it will be made in, takes files; its file system; its room. */
export async function checkFolder(folder: string): Promise<Finding[]> {
  const there = await nearest(folder);
  return [
    await checkWritable(folder, there),
    await checkFileSystem(there),
    await checkSpace(there),
  ];
}

async function checkWritable(folder: string, there: string): Promise<Finding> {
  try {
    const probe = await mkdtemp(join(there, ".sessiond-doctor-"));
    try {
      const file = await open(join(probe, "probe"), "w");
      await file.write("sessiond");
      await file.sync();
      await file.close();
    } finally {
      await rm(probe, { recursive: true, force: true });
    }
  } catch (error) {
    return notOk("data folder", "fail", {
      found: `${folder} takes no files: ${reasonOf(error)}`,
      fix: `make ${there} writable for this user, or choose another folder with --data`,
    });
  }
  return ok("data folder", there === folder ? folder : `${folder}, made at the first start`);
}

async function checkFileSystem(there: string): Promise<Finding> {
  const { type } = await statfs(there);
  const name = fileSystems[type] ?? `type 0x${type.toString(16)}`;
  if (inMemory.includes(name)) {
    return notOk("file system", "warn", {
      found: `${name}: gone after a reboot`,
      fix: "keep the data on a disk: --data",
    });
  }
  if (remote.includes(name)) {
    return notOk("file system", "warn", {
      found: `${name}: locks and syncs may not hold what the store needs`,
      fix: "keep the data on a local disk: --data",
    });
  }
  return ok("file system", name);
}

async function checkSpace(there: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(there);
  const freeBytes = bavail * bsize;
  const found = `${(freeBytes / MiB / 1024).toFixed(1)} GiB free`;
  if (freeBytes >= comfortableBytes) return ok("space", found);
  const fix = "free space, or choose another folder with --data; near the end writes are refused";
  return notOk("space", freeBytes < reserveBytes ? "fail" : "warn", { found, fix });
}

/** The folder, or the closest one above it that exists. */
async function nearest(folder: string): Promise<string> {
  const isThere = await stat(folder).then(
    () => true,
    () => false,
  );
  const above = dirname(folder);
  return isThere || above === folder ? folder : nearest(above);
}
