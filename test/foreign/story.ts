import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EventService, Role, SessionService } from "@sessiond/contract";
import { startServer } from "../support/server-process.ts";
import { root } from "./readme.ts";

/** What a program printed. */
export interface Told {
  readonly sessionId: string;
  /** Lines by their first word; the session's id is `ID` in them, and codes are in one spelling. */
  readonly lines: Readonly<Record<string, readonly string[]>>;
  readonly exitCode: number | null;
  readonly stderr: string;
}

/**
 * Runs the commands of an example against a real server, which is killed while the example watches and started
 * again on the same port; then appends to the session and ends it.
 */
export async function tell(commands: string): Promise<Told> {
  const data = await mkdtemp(join(tmpdir(), "sessiond-foreign-"));
  try {
    await using first = await startServer({ data });
    await using running = run(commands, first.address);
    // The three events there are: the program is at the end of the log.
    await running.until(/^watched 3 /);
    await first.kill("SIGKILL");
    // The program has noticed before there is a server again, so it has to come back.
    await running.until(/^continues /);
    await using second = await startServer({ data, port: first.port });
    const [, sessionId = ""] = /^created (\S+)$/m.exec(running.stdout()) ?? [];
    await finish(second.address, sessionId);
    const { exitCode, stderr } = await running.exited;
    return { sessionId, lines: sorted(running.stdout(), sessionId), exitCode, stderr };
  } finally {
    await rm(data, { recursive: true });
  }
}

/** Somebody else appends two events, and ends the session. */
async function finish(address: string, sessionId: string): Promise<void> {
  const transport = createConnectTransport({
    baseUrl: `http://${address}`,
    httpVersion: "1.1",
    defaultTimeoutMs: 20_000,
  });
  await createClient(EventService, transport).appendEvents({
    sessionId,
    events: [
      { payload: { case: "toolResult", value: { callId: "c1", content: "2 flights" } } },
      { role: Role.ASSISTANT, payload: { case: "message", value: { text: "There are two." } } },
    ],
  });
  await createClient(SessionService, transport).endSession({ sessionId });
}

interface Running extends AsyncDisposable {
  stdout(): string;
  /** Resolves when a line has come that matches; rejects when the program ends without. */
  until(pattern: RegExp): Promise<void>;
  readonly exited: Promise<{ readonly exitCode: number | null; readonly stderr: string }>;
}

function run(commands: string, address: string): Running {
  const child = spawn("bash", ["-euc", commands], {
    cwd: root,
    env: { ...process.env, SESSIOND_ADDRESS: address },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that what the shell started goes with it.
    detached: true,
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    for (const look of waiting) look();
  });
  const stderr = collect(child.stderr);
  const exited = new Promise<{ exitCode: number | null; stderr: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, stderr: stderr() }));
  });
  const stdout = () => lines.join("\n");
  return {
    stdout,
    exited,
    until: async (pattern) => {
      const seen = new Promise<void>((resolve) => {
        const look = () => lines.some((line) => pattern.test(line)) && resolve();
        waiting.add(look);
        look();
      });
      const early = exited.then((end) => {
        throw new Error(
          `it ended without ${pattern} (${end.exitCode}):\n${stdout()}\n${end.stderr}`,
        );
      });
      await Promise.race([seen, early]);
      early.catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      killGroup(child);
      await exited;
    },
  };
}

function killGroup({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, "SIGKILL");
}

function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  return () => text;
}

function sorted(stdout: string, sessionId: string): Record<string, string[]> {
  const lines: Record<string, string[]> = {};
  for (const line of stdout.replaceAll(sessionId, "ID").split("\n")) {
    const [word = "", ...rest] = line.split(" ");
    // NOT_FOUND in Python, NotFound in Go, not_found in JSON.
    if (word === "refused") rest[0] = rest[0]?.toLowerCase().replaceAll("_", "") ?? "";
    lines[word] = [...(lines[word] ?? []), rest.join(" ")];
  }
  return lines;
}
