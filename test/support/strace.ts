import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A system call that was traced. Times are of the wall clock, in milliseconds. */
export interface SystemCall {
  readonly name: string;
  readonly beginMs: number;
  /** When it returned. */
  readonly endMs: number;
}

/** A hold on a running process. Disposing lets go of it. */
export interface Trace extends AsyncDisposable {
  /** Calls that have returned up to now, by their end. */
  calls(): SystemCall[];
}

const asRoot = process.getuid?.() === 0 ? [] : ["sudo", "-n"];

/** Whether `attach` can work here: strace is installed, and we may use it on other processes. */
export function canTrace(): boolean {
  const [command = "strace", ...rest] = [...asRoot, "strace", "-V"];
  return spawnSync(command, rest).status === 0;
}

/**
 * Takes hold of all threads of a running process, and meddles with its system calls from then on.
 *
 * `inject` is as in strace(1), for example `fdatasync:error=EIO`; only those calls are traced.
 */
export async function attach(pid: number, inject: readonly string[]): Promise<Trace> {
  const folder = await mkdtemp(join(tmpdir(), "sessiond-strace-"));
  const output = join(folder, "calls");
  const names = inject.map((rule) => rule.replace(/:.*/, ""));
  const [command = "strace", ...rest] = [
    ...asRoot,
    ...["strace", "-f", "-ttt", "-T", "-s", "0", "-o", output, "-p", String(pid)],
    ...["-e", `trace=${names.join(",")}`],
    ...inject.flatMap((rule) => ["-e", `inject=${rule}`]),
  ];
  const strace = spawn(command, rest, { stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise((resolve) => strace.on("close", resolve));
  let messages = "";
  const attached = new Promise<void>((resolve) => {
    strace.stderr.setEncoding("utf8").on("data", (text: string) => {
      messages += text;
      if (/ attached/.test(messages)) resolve();
    });
  });
  const early = ended.then(() => {
    throw new Error(`strace ended early: ${messages}`);
  });
  await Promise.race([attached, early]);
  early.catch(() => {});
  return {
    calls: () => parse(readFileSync(output, "utf8")),
    async [Symbol.asyncDispose]() {
      strace.kill("SIGINT");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** `PID TIME name(…) = 0 <DURATION>`, or in two lines, `<unfinished ...>` and `resumed`. */
const line = /^(\d+) +(\d+\.\d+) (?:<\.\.\. )?(\w+)(\(| resumed)(.*)$/;
const duration = /<(\d+\.\d+)>$/;

function parse(text: string): SystemCall[] {
  const begun = new Map<string, number>();
  const calls: SystemCall[] = [];
  for (const each of text.split("\n")) {
    const [, thread = "", seconds, name = "", mark, rest = ""] = line.exec(each) ?? [];
    const beginMs = mark === "(" ? Number(seconds) * 1_000 : (begun.get(thread) ?? Number.NaN);
    if (rest.endsWith("<unfinished ...>")) begun.set(thread, beginMs);
    const endMs = beginMs + Number(duration.exec(rest)?.[1]) * 1_000;
    if (Number.isFinite(endMs)) calls.push({ name, beginMs, endMs });
  }
  return calls.sort((a, b) => a.endMs - b.endMs);
}
