import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkFolder } from "../../src/cli/doctor/folder.ts";
import { checkClock, checkNode } from "../../src/cli/doctor/machine.ts";
import { linesOf, openSessiond, type Sessiond } from "./support/sessiond.ts";

interface Finding {
  readonly name: string;
  readonly status: string;
  readonly found: string;
  readonly fix?: string;
}

let sessiond: Sessiond;
beforeAll(async () => {
  sessiond = await openSessiond();
});
afterAll(() => sessiond[Symbol.asyncDispose]());

const byName = (findings: readonly Finding[]) =>
  Object.fromEntries(findings.map((finding) => [finding.name, finding]));

describe("doctor", () => {
  test("looks at machine, folder, port and server, and leaves nothing behind", async () => {
    const { address } = sessiond.server;
    const { code, stdout } = await sessiond.run("doctor", "--listen", address);
    const findings = linesOf<Finding>(stdout);
    expect(findings.map(({ name }) => name)).toEqual([
      ..."node,data folder,file system,space,clock,tokenizer,port,round trip,server clock".split(
        ",",
      ),
    ]);
    expect(code).toBe(0);
    const { port, tokenizer, "round trip": roundTrip } = byName(findings);
    expect(tokenizer).toMatchObject({ status: "ok", found: expect.stringContaining("o200k_base") });
    expect(port).toMatchObject({ status: "ok", found: expect.stringContaining("is served by") });
    expect(roundTrip).toMatchObject({ status: "ok", found: expect.stringMatching(/durable$/) });
    expect(await sessiond.ok("sessions", "--namespace", "sessiond-doctor")).toBe("");
  });

  test("finds a port that another program has, and says what to do: 7", async () => {
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as { port: number };
    const place = `127.0.0.1:${port}`;
    const { code, stdout } = await sessiond.run("doctor", "--listen", place, "--address", place);
    await new Promise((resolve) => other.close(resolve));
    expect(code).toBe(7);
    const { port: portFinding, "round trip": roundTrip } = byName(linesOf<Finding>(stdout));
    expect(portFinding).toMatchObject({
      status: "fail",
      fix: expect.stringContaining("--listen"),
    });
    expect(roundTrip).toMatchObject({ status: "skip", fix: expect.any(String) });
  });

  test("has a fix for whatever is not ok", async () => {
    expect(checkNode("20.1.0")).toMatchObject({ status: "fail", fix: expect.any(String) });
    expect(checkClock(new Date(0))).toMatchObject({ status: "fail", fix: expect.any(String) });
    const file = join(sessiond.folder, "file");
    await writeFile(file, "");
    const [folder] = await checkFolder(join(file));
    expect(folder).toMatchObject({ status: "fail", fix: expect.stringContaining("--data") });
    const missing = join(sessiond.folder, "not", "yet");
    expect((await checkFolder(missing))[0]).toMatchObject({ status: "ok" });
  });
});

describe("config", () => {
  test("says of each value where it came from", async () => {
    await writeFile(
      join(sessiond.folder, "sessiond.yaml"),
      "logLevel: debug\nallowHosts: [a, b]\n",
    );
    const output = await sessiond.ok("config", "--listen", "8000");
    const entries = linesOf<{ name: string }>(output);
    expect(Object.fromEntries(entries.map(({ name, ...rest }) => [name, rest]))).toMatchObject({
      listen: { value: "127.0.0.1:8000", from: "flag --listen" },
      logLevel: { value: "debug", from: "file sessiond.yaml" },
      allowHosts: { value: "a,b", from: "file sessiond.yaml" },
      store: { value: "lmdb", from: "default" },
    });
    const table = await sessiond.ok("config", "-o", "table");
    expect(table).toMatch(/^SETTING +VALUE +FROM +VARIABLE\n/);
    expect(table).toMatch(/^logLevel +debug +file sessiond\.yaml +SESSIOND_LOG_LEVEL$/m);
  });

  test("that is wrong ends with 2 and one sentence", async () => {
    const { code, stderr } = await sessiond.run("config", "--store", "paper");
    expect(code).toBe(2);
    expect(stderr).toMatch(/^sessiond: flag --store is "paper"; it must be .*\n$/);
  });
});
