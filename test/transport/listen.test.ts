import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StartError } from "../../src/errors.ts";
import { createToy, INFO_PATH, openToy, post, Wire } from "./toy.ts";

let folder = "";
let path = "";

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sessiond-"));
  path = join(folder, "api.sock");
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe("a unix socket", () => {
  it("serves both protocols, beside a port or alone, and only its owner may use it", async () => {
    await using toy = await openToy(createToy(), { unix: path });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    for (const target of [path, toy.port]) {
      using wire = new Wire(target).send(post(INFO_PATH, "{}"));
      await wire.until('"toy"');
    }
    const client = new Client(`unix:${path}`, credentials.createInsecure());
    const bytes = (buffer: Buffer) => buffer;
    const answer = await new Promise<Buffer | undefined>((resolve, reject) => {
      client.makeUnaryRequest(INFO_PATH, bytes, bytes, Buffer.alloc(0), (error, value) =>
        error ? reject(error) : resolve(value),
      );
    });
    expect(answer?.toString()).toContain("toy");
    client.close();
  });

  it("is removed at the end", async () => {
    const open = await openToy(createToy(), { unix: path });
    await open.server.drain(0);
    await expect(stat(path)).rejects.toThrow("ENOENT");
  });

  it("that a killed server left behind is replaced", async () => {
    const code = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
    await once(spawn(process.execPath, ["-e", code]), "exit");
    expect((await stat(path)).isSocket()).toBe(true);
    await using _toy = await openToy(createToy(), { unix: path });
    using wire = new Wire(path).send(post(INFO_PATH, "{}"));
    await wire.until('"toy"');
  });

  it("on which another server listens is left alone", async () => {
    await using _first = await openToy(createToy(), { unix: path });
    const second = openToy(createToy(), { unix: path });
    await expect(second).rejects.toThrow(StartError);
    await expect(second).rejects.toThrow(`another server listens on ${path}`);
    using wire = new Wire(path).send(post(INFO_PATH, "{}"));
    await wire.until('"toy"');
  });

  it("does not replace a file", async () => {
    await writeFile(path, "precious");
    await expect(openToy(createToy(), { unix: path })).rejects.toThrow("is not a socket");
  });

  it.skipIf(process.getuid?.() === 0)("in a folder that is not ours is refused", async () => {
    await chmod(folder, 0o500);
    await expect(openToy(createToy(), { unix: path })).rejects.toThrow("no permission");
    await chmod(folder, 0o700);
  });
});

describe("a TCP port", () => {
  it("that is in use is named, and nothing else stays open", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await once(other, "listening");
    const address = other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const probeListen = { host: "127.0.0.1", port };
    const opening = openToy(createToy(), { unix: path, probeListen });
    await expect(opening).rejects.toThrow(StartError);
    await expect(opening).rejects.toThrow(`127.0.0.1:${port} is in use`);
    await expect(stat(path)).rejects.toThrow("ENOENT");
    other.close();
  });

  it("on an address of another machine is refused", async () => {
    const listen = { host: "192.0.2.1", port: 0 };
    await expect(openToy(createToy(), { listen })).rejects.toThrow(
      "not an address of this machine",
    );
  });
});
