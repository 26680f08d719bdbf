import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { IfExists } from "@sessiond/contract";
import { describe, expect, it } from "vitest";
import { needs } from "../support/needs.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import { canMount, mountSmallDisk } from "../support/small-disk.ts";
import { type Connection, connect } from "./connection.ts";
import { messageTo, reasonOf } from "./requests.ts";

const diskMebibytes = 8;
const sessionIds = ["a", "b", "c", "d", "e", "f"] as const;
const kept = "f";
/** More than the disk could ever take. */
const mostAppends = 10_000;

const mountable = await canMount();

describe.skipIf(!needs("the right to mount", () => mountable))("a disk that is full", () => {
  it("refuses writes and takes reads and deletes, takes a restart, and recovers, twice", {
    timeout: 120_000,
  }, async () => {
    await using disk = await mountSmallDisk(diskMebibytes);
    const data = join(disk.path, "data");
    for (const round of [1, 2]) {
      let head: number;
      {
        await using server = await startServer({ data });
        using connection = connect(server.address);
        head = await fill(connection, `round-${round}`);
        expect(await disk.freeBytes()).toBeGreaterThan(0);

        expect(await reasonOf(connection.http.appendEvents(smallest("refused")))).toBe(
          "WRITES_REFUSED",
        );
        expect(await headOf(connection)).toBe(head);
        for (const sessionId of sessionIds.filter((id) => id !== kept)) {
          const { deleted } = await connection.sessions.deleteSession({ sessionId });
          expect(deleted).toBe(true);
        }
        // The room comes back in the background.
        const again = () => reasonOf(connection.http.appendEvents(smallest(`again-${round}`)));
        await expect.poll(again, { timeout: 30_000 }).toBe("none");
        await expectKilled(server);
      }
      await using server = await startServer({ data });
      using connection = connect(server.address);
      expect(await headOf(connection)).toBe(head + 1);
      expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
    }
  });

  it("is no reason not to start: reads work without a free byte", { timeout: 60_000 }, async () => {
    await using disk = await mountSmallDisk(diskMebibytes);
    const data = join(disk.path, "data");
    {
      await using server = await startServer({ data });
      using connection = connect(server.address);
      await connection.http.appendEvents(smallest("first"));
      await expectKilled(server);
    }
    await fillRest(disk.path);
    expect(await disk.freeBytes()).toBe(0);
    await using server = await startServer({ data });
    using connection = connect(server.address);
    expect(await headOf(connection)).toBe(2);
    expect(await reasonOf(connection.http.appendEvents(smallest("second")))).toBe("WRITES_REFUSED");
    expect(await server.kill("SIGTERM")).toEqual({ code: 0, signal: null });
  });
});

/** Appends side by side until every append is refused. Returns the revision of the kept session. */
async function fill(connection: Connection, name: string): Promise<number> {
  // Compactions would be events, too.
  const contextPolicy = { compaction: { manual: true } };
  for (const sessionId of sessionIds) {
    const session = { sessionId, contextPolicy };
    await connection.sessions.createSession({ session, ifExists: IfExists.RETURN });
  }
  let count = 0;
  const work = async () => {
    while (count < mostAppends) {
      const requestId = `${name}-${++count}`;
      const sessionId = sessionIds[count % sessionIds.length] ?? kept;
      const text = randomBytes(1_500).toString("base64");
      const append = connection.grpc.appendEvents(messageTo({ sessionId, requestId, text }));
      const reason = await reasonOf(append);
      if (reason === "none") continue;
      expect(reason).toBe("WRITES_REFUSED");
      return;
    }
    throw new Error(`the disk took ${count} events and is not full`);
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return headOf(connection);
}

/** Reads the kept session, all of it. */
async function headOf({ http, sessions }: Connection): Promise<number> {
  const { session } = await sessions.getSession({ sessionId: kept });
  let last = 0;
  let pageToken = "";
  do {
    const page = await http.listEvents({ sessionId: kept, pageSize: 1_000, pageToken });
    for (const { revision } of page.events) expect(revision).toBe(++last);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  expect(session?.headRevision).toBe(last);
  return last;
}

function smallest(requestId: string) {
  return messageTo({ sessionId: kept, requestId, text: "." });
}

async function expectKilled(server: ServerProcess): Promise<void> {
  // It was there to be killed: nothing above had ended it.
  expect(await server.kill("SIGKILL")).toEqual({ code: null, signal: "SIGKILL" });
}

/** Writes a file until nothing more fits. */
async function fillRest(folder: string): Promise<void> {
  const file = await open(join(folder, "ballast"), "w");
  const page = Buffer.alloc(4_096, 1);
  try {
    for (;;) await file.write(page);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
  } finally {
    await file.close();
  }
}
