import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EventService } from "@sessiond/contract";
import { expect, it } from "vitest";
import { needs } from "../support/needs.ts";
import { startServer } from "../support/server-process.ts";
import { files, workloadOf } from "./manifests.ts";

const hasCurl = needs("curl", () => spawnSync("curl", ["--version"]).status === 0);

it.skipIf(!hasCurl).each(files)("the agent of %s appends until the pod ends", async (file) => {
  const { agent } = workloadOf(file);
  const [command = "", ...args] = [...(agent.command ?? []), ...(agent.args ?? [])];
  const folder = await mkdtemp(join(tmpdir(), "sessiond-agent-"));
  const socket = join(folder, "sessiond.sock");
  try {
    await using server = await startServer({
      data: join(folder, "data"),
      args: ["--unix", socket],
    });
    const { events } = connect(server.address);
    const child = spawn(command, args, {
      env: { ...process.env, HOSTNAME: "agent-0", SESSIOND_SOCKET: socket },
      stdio: "ignore",
      detached: true,
    });
    const ended = once(child, "exit");
    try {
      for await (const { message } of events.watchEvents({})) {
        if (message.case === "events") break;
      }
      child.kill("SIGTERM");
      expect(await ended).toEqual([0, null]);
    } finally {
      endGroup(child);
    }
    const page = await events.listEvents({ sessionId: "agent-0" });
    const texts = page.events.map(({ payload }) =>
      payload.case === "message" ? payload.value.text : payload.case,
    );
    expect(texts).toEqual(["sessionStarted", "The pod starts.", "The pod ends."]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Ends what the script may have left behind: a sleep that outlives it, or nothing. */
function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function connect(address: string) {
  const transport = createConnectTransport({
    baseUrl: `http://${address}`,
    httpVersion: "1.1",
    defaultTimeoutMs: 20_000,
  });
  return { events: createClient(EventService, transport) };
}
