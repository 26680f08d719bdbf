import { readFileSync } from "node:fs";

/** The kernel counts CPU time in these, on every Linux that Node runs on. */
const msPerTick = 10;

/** CPU time a process has used, all threads and the kernel's work for it. Linux only. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  // The name in parentheses may hold spaces; behind it, user and system time are the 12th and 13th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

/** Memory of a process that is not a mapped file: heap, buffers, code made at run time. Linux only. */
export function anonymousBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const line = /^RssAnon:\s+(\d+) kB$/m.exec(status);
  if (line === null) throw new Error(`/proc/${pid}/status has no RssAnon`);
  return Number(line[1]) * 1024;
}
