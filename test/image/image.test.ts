import { chmod, chown, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EventService, SessionService } from "@sessiond/contract";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { userText } from "../support/domain.ts";
import { needs } from "../support/needs.ts";
import { checkHealth, startContainer } from "./container.ts";
import { type BuiltImage, buildImage, canBuildImages } from "./image-builder.ts";

const readyLine = /^sessiond \S+ listens on (127\.0\.0\.1:\d+)/m;
const buildTimeoutMs = 600_000;

describe.skipIf(!needs("root, buildah, debootstrap and unshare", canBuildImages))(
  "the image",
  () => {
    let image: BuiltImage;
    let folder: string;
    /** A port for probes, which an engine would map. */
    let probe: number;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "sessiond-volumes-"));
      await chmod(folder, 0o755);
      probe = await freePort();
      image = await buildImage();
    }, buildTimeoutMs);
    afterAll(async () => {
      await image?.[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    });

    /** A volume that belongs to the image's user, as an engine makes it. */
    async function makeVolume(name: string): Promise<string> {
      const path = join(folder, name);
      await mkdir(path);
      const [uid, gid] = image.config.User.split(":").map(Number);
      await chown(path, uid ?? 0, gid ?? 0);
      return path;
    }

    const env = (more: Record<string, string> = {}) => ({
      SESSIOND_LISTEN: "127.0.0.1:0",
      SESSIOND_PROBE_LISTEN: `0.0.0.0:${probe}`,
      ...more,
    });

    it("runs as a numbered user other than root", () => {
      expect(image.config.User).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    });

    it("has one volume, which is the data folder", () => {
      expect(Object.keys(image.config.Volumes)).toEqual(["/data"]);
      expect(image.config.Env).toContain("SESSIOND_DATA=/data");
    });

    it("takes calls on loopback, and probes from everywhere", () => {
      expect(Object.keys(image.config.ExposedPorts).sort()).toEqual(["7377/tcp", "7378/tcp"]);
      expect(image.config.Env).toContain("SESSIOND_LISTEN=127.0.0.1:7377");
      expect(image.config.Env).toContain("SESSIOND_PROBE_LISTEN=0.0.0.0:7378");
    });

    it("says what it is", () => {
      for (const name of ["title", "description", "licenses", "version", "revision"]) {
        expect(image.config.Labels[`org.opencontainers.image.${name}`], name).toBeTruthy();
      }
    });

    it("has the bundle and what it cannot hold, and nothing of the build", async () => {
      const app = await readdir(join(image.files, "app"));
      expect(app.sort()).toEqual([
        "LICENSE",
        "dist",
        "healthcheck.js",
        "node_modules",
        "package.json",
      ]);
      const modules = await readdir(join(image.files, "app/node_modules"));
      expect(modules).toEqual(expect.arrayContaining(["lmdb", "tiktoken", "fs-native-extensions"]));
      for (const name of ["typescript", "esbuild", "vitest", "@grpc", "pino"]) {
        expect(modules).not.toContain(name);
      }
      expect(await readdir(join(image.files, "root"))).not.toContain(".npmrc");
    });

    it("starts with code that was compiled before, and cannot change it", async () => {
      const cache = join(image.files, "app/node_modules/.cache");
      const all = await readdir(cache, { recursive: true, withFileTypes: true });
      for (const { name, parentPath } of all) {
        expect((await stat(join(parentPath, name))).uid, name).toBe(0);
      }
      const volumes = { "/data": await makeVolume("compiled") };
      const more = { NODE_DEBUG_NATIVE: "COMPILE_CACHE" };
      await using server = startContainer(image, { volumes, env: env(more) });
      await server.until(/code cache for ESM file:\/\/\/app\/dist\/(\S+) was accepted/);
    });

    it("keeps a session over a stop and a start on the same volume: Durable", async () => {
      const volumes = { "/data": await makeVolume("kept") };
      {
        await using first = startContainer(image, { volumes, env: env() });
        const { events } = connect(await first.until(readyLine));
        const answer = await events.appendEvents({
          sessionId: "trip",
          createIfMissing: true,
          events: [userText("I want to visit Japan next month")],
        });
        expect(answer.headRevision).toBe(2);
        // Counted by the tokenizer, which is in the image: not estimated.
        expect(answer.events[0]?.tokens).toMatchObject({ count: 7, encoding: "o200k_base" });
        expect(await first.kill("SIGTERM")).toMatchObject({ exitCode: 0 });
      }
      await using second = startContainer(image, { volumes, env: env() });
      const { sessions } = connect(await second.until(readyLine));
      const { session } = await sessions.getSession({ sessionId: "trip" });
      expect(session?.headRevision).toBe(2);
      expect(await second.kill("SIGTERM")).toMatchObject({ exitCode: 0 });
    });

    it("is healthy while it runs, and not before and after", async () => {
      const volumes = { "/data": await makeVolume("healthy") };
      expect(await checkHealth(image, { env: env() })).toMatchObject({ exitCode: 1 });
      await using server = startContainer(image, { volumes, env: env() });
      await server.until(readyLine);
      expect(await checkHealth(image, { env: env() })).toMatchObject({ exitCode: 0 });
      await server.kill("SIGTERM");
      expect(await checkHealth(image, { env: env() })).toMatchObject({ exitCode: 1 });
    });

    it("takes calls over a unix socket in a folder that is mounted", async () => {
      const run = await makeVolume("run");
      const volumes = { "/data": await makeVolume("with-socket"), "/mnt": run };
      const more = { SESSIOND_UNIX: "/mnt/sessiond.sock" };
      await using server = startContainer(image, { volumes, env: env(more) });
      await server.until(readyLine);
      const { events } = connect("localhost", join(run, "sessiond.sock"));
      const answer = await events.appendEvents({
        sessionId: "trip",
        createIfMissing: true,
        events: [userText("By the socket")],
      });
      expect(answer.headRevision).toBe(2);
    });

    it("writes nowhere but to its volumes", async () => {
      await using server = startContainer(image, { env: env() });
      const { exitCode, stderr } = await server.exited;
      expect(exitCode).not.toBe(0);
      expect(stderr).toContain("/data");
    });
  },
);

function connect(address: string, socketPath?: string) {
  const transport = createConnectTransport({
    baseUrl: `http://${address}`,
    httpVersion: "1.1",
    defaultTimeoutMs: 20_000,
    ...(socketPath && { nodeOptions: { socketPath } }),
  });
  return {
    events: createClient(EventService, transport),
    sessions: createClient(SessionService, transport),
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port was given");
  return address.port;
}
