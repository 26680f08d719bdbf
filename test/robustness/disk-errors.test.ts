import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { needs } from "../support/needs.ts";
import { startServer } from "../support/server-process.ts";
import { attach, canTrace } from "../support/strace.ts";
import { runCampaign } from "./campaign.ts";
import { connect } from "./connection.ts";
import { diskErrors } from "./disasters.ts";
import { messageTo, reasonOf } from "./requests.ts";

describe.skipIf(!needs("strace", canTrace))("a disk that fails to sync", () => {
  it("is answered with COMMIT_UNKNOWN and exit code 3, and a retry after the restart is applied once", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sessiond-disk-"));
    const first = messageTo({ sessionId: "s", requestId: "first" });
    const second = messageTo({ sessionId: "s", requestId: "second" });
    {
      await using server = await startServer({ data: folder });
      using connection = connect(server.address);
      const { grpc, http } = connection;
      await http.appendEvents(first);
      await using _ = await attach(server.pid, ["fdatasync:error=EIO"]);
      await expect(reasonOf(grpc.appendEvents(second))).resolves.toBe("COMMIT_UNKNOWN");
      expect(await server.exited).toEqual({ code: 3, signal: null });
      expect(server.stderr()).toContain("the store failed");
      expect(server.stdout()).toBe("");
    }
    {
      await using server = await startServer({ data: folder });
      using connection = connect(server.address);
      const { grpc, http } = connection;
      const answer = await http.appendEvents(second);
      expect(answer.events.map(({ revision }) => revision)).toEqual([3]);
      expect(await grpc.appendEvents(second)).toEqual(answer);
      const { events } = await http.listEvents({ sessionId: "s" });
      expect(events.map(({ eventId }) => eventId)).toEqual(["", "first", "second"]);
    }
    await rm(folder, { recursive: true });
  });

  it.each(["fdatasync:error=EIO", "pwrite64:error=EIO:when=3", "pwrite64:error=ENOSPC"])(
    "breaks no promise at a random instant under load (%s)",
    { timeout: 60_000 },
    async (fault) => {
      const folder = await mkdtemp(join(tmpdir(), "sessiond-disk-"));
      const disaster = diskErrors(fault);
      const { violations } = await runCampaign({ folder, cycles: 3, seed: 1, disaster });
      expect(violations, `the data and the record are in ${folder}`).toEqual([]);
      await rm(folder, { recursive: true });
    },
  );
});
