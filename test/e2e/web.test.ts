import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { needs } from "../support/needs.ts";
import { type ServerProcess, startServer } from "../support/server-process.ts";
import {
  type Bundle,
  bundlePage,
  executablePath,
  launchBrowser,
  type Site,
  serveSite,
} from "./web/browser.ts";

/** What `web/page.ts` makes global in the page, where the functions of `evaluate` run. */
declare const client: typeof import("@sessiond/client/web");

const hasChromium = needs("Chromium", () => existsSync(executablePath));

let bundle: Bundle;

beforeAll(async () => {
  bundle = await bundlePage();
});

test("the client for browsers is made of nothing that only Node has", () => {
  expect(bundle.inputs.filter((file) => /grpc-js|connect-node/.test(file))).toEqual([]);
  expect(bundle.inputs.some((file) => file.includes("connect-web"))).toBe(true);
});

describe.skipIf(!hasChromium)("in Chromium", () => {
  let data: string;
  let site: Site;
  let server: ServerProcess;
  let browser: Browser;
  let page: Page;
  let address: string;

  const start = (port = 0) =>
    startServer({ data, port, args: ["--allow-origin", `http://127.0.0.1:${site.port}`] });

  beforeAll(async () => {
    data = await mkdtemp(join(tmpdir(), "sessiond-web-"));
    site = await serveSite(bundle);
    server = await start();
    address = `http://${server.address}`;
    browser = await launchBrowser();
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${site.port}/`);
  });

  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
    await site?.[Symbol.asyncDispose]();
    await rm(data, { recursive: true });
  });

  test("a page creates a session, appends to it and lists it", async () => {
    const seen = await page.evaluate(async (address) => {
      const sessiond = new client.Sessiond(address);
      const session = await sessiond.sessions.getOrCreate("web-1", { agentId: "travel" });
      const { isDurable } = await session.append([
        { role: "user", text: "I want to visit Japan ☂" },
        { toolCall: { callId: "1", name: "flights", arguments: { to: "HND" } } },
      ]);
      const texts: (string | undefined)[] = [];
      for await (const event of session.events({ pageSize: 1 })) {
        texts.push(event.text || event.toolCall?.arguments);
      }
      const { items } = await sessiond.sessions.list({ agentId: "travel" });
      sessiond.close();
      return { isDurable, texts, listed: items.map(({ sessionId }) => sessionId) };
    }, address);
    expect(seen).toEqual({
      isDurable: true,
      texts: [undefined, "I want to visit Japan ☂", '{"to":"HND"}'],
      listed: ["web-1"],
    });
  });

  test("errors have the same classes and fields as in Node", async () => {
    const seen = await page.evaluate(async (address) => {
      const sessiond = new client.Sessiond(address);
      const session = await sessiond.sessions.getOrCreate("web-2");
      const event = { role: "user", text: "hello" } as const;
      const conflict = await session.append(event, { expectedRevision: 41 }).catch((e) => e);
      const missing = await sessiond.sessions.get("nobody").catch((e) => e);
      sessiond.close();
      const closed = await session.refresh().catch((e) => e);
      return {
        isConflict: conflict instanceof client.RevisionConflictError,
        conflict: [conflict.expected, conflict.actual, conflict.sessionId, conflict.retryable],
        isMissing: missing instanceof client.SessionNotFoundError,
        missing: [missing.code, missing.reason],
        isClosed: closed instanceof client.ClientClosedError,
      };
    }, address);
    expect(seen).toEqual({
      isConflict: true,
      conflict: [41, 1, "web-2", false],
      isMissing: true,
      missing: ["NOT_FOUND", "SESSION_NOT_FOUND"],
      isClosed: true,
    });
  });

  test("Ordered, Unique: a watch shows what is there and then what comes", async () => {
    const seen = await page.evaluate(async (address) => {
      const sessiond = new client.Sessiond(address);
      const session = await sessiond.sessions.create({ sessionId: "web-3" });
      const watch = await session.watch({ untilEnded: true }).open();
      await session.append({ role: "user", text: "one" });
      const revisions: number[] = [];
      for await (const event of watch) {
        revisions.push(event.revision);
        if (event.text === "one") {
          await session.append({ role: "assistant", text: "two" });
          await session.end();
        }
      }
      sessiond.close();
      return revisions;
    }, address);
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test("leaving a watch, and closing the client, end it without an error", async () => {
    const seen = await page.evaluate(async (address) => {
      const sessiond = new client.Sessiond(address);
      const session = await sessiond.sessions.create({ sessionId: "web-4" });
      for await (const _ of session.watch()) break;
      const rest = session.watch({ from: "now" });
      await rest.open();
      const end = rest.next();
      sessiond.close();
      return end;
    }, address);
    expect(seen).toEqual({ done: true, value: undefined });
  });

  test("Resumable: a watch goes on when the server was killed and came back", async () => {
    const sessionId = "web-5";
    await page.evaluate(
      async ({ address, sessionId }) => {
        const sessiond = new client.Sessiond(address);
        const session = await sessiond.sessions.create({ sessionId });
        const watch = await session.watch({ untilEnded: true }).open();
        await session.append({ role: "user", text: "before" });
        const seen: number[] = [];
        await watch.next().then(({ value }) => value && seen.push(value.revision));
        const rest = (async () => {
          for await (const event of watch) seen.push(event.revision);
          sessiond.close();
          return seen;
        })();
        Object.assign(globalThis, { rest });
      },
      { address, sessionId },
    );
    await server.kill("SIGKILL");
    server = await start(server.port);
    const seen = await page.evaluate(
      async ({ address, sessionId }) => {
        const sessiond = new client.Sessiond(address);
        const session = await sessiond.sessions.get(sessionId);
        await session.append({ role: "user", text: "after" });
        await session.end();
        const { rest } = globalThis as unknown as { rest: Promise<number[]> };
        return rest;
      },
      { address, sessionId },
    );
    expect(seen).toEqual([1, 2, 3, 4]);
  });

  test("Resumable: an EventSource goes on by itself over a restart, without gap or repeat", async () => {
    const url = `${address}/v1/sessions/web-6/stream?until_ended=true`;
    await page.evaluate(
      async ({ address, url }) => {
        const sessiond = new client.Sessiond(address);
        const session = await sessiond.sessions.create({ sessionId: "web-6" });
        await session.append({ role: "user", text: "before ☂" });
        const source = new EventSource(url);
        const seen = { revisions: [] as number[], created: 0, reasons: [] as string[] };
        source.addEventListener("created", () => seen.created++);
        const before = new Promise<void>((resolve) => {
          source.addEventListener("events", (event) => {
            const { data } = event as Event & { data: string };
            for (const { revision } of JSON.parse(data).events.events) {
              seen.revisions.push(revision);
              if (revision === 2) resolve();
            }
          });
        });
        // A reconnection, a message of the server, and the end of all are told apart like this.
        const over = new Promise((resolve) => {
          source.addEventListener("error", (event) => {
            if (event instanceof MessageEvent) {
              seen.reasons.push(JSON.parse(event.data).details[0].debug.reason);
            } else if (source.readyState === EventSource.CLOSED) resolve(seen);
          });
        });
        Object.assign(globalThis, { over });
        sessiond.close();
        await before;
      },
      { address, url },
    );
    await server.kill("SIGTERM");
    server = await start(server.port);
    const seen = await page.evaluate(async (address) => {
      const sessiond = new client.Sessiond(address);
      const session = await sessiond.sessions.get("web-6");
      await session.append({ role: "user", text: "after" });
      await session.end();
      sessiond.close();
      return (globalThis as unknown as { over: Promise<unknown> }).over;
    }, address);
    // At the second stream the session is over, and the third request is told not to come again.
    expect(seen).toEqual({ revisions: [1, 2, 3, 4], created: 2, reasons: ["SHUTTING_DOWN"] });
  });

  test("an EventSource of an origin that is not allowed gets nothing", async () => {
    const other = await browser.newPage();
    await other.goto(`http://localhost:${site.port}/`);
    const seen = await other.evaluate((url) => {
      const source = new EventSource(url);
      return new Promise<string>((resolve) => {
        source.addEventListener("created", () => resolve("created"));
        source.addEventListener("error", () => resolve(`state ${source.readyState}`));
      });
    }, `${address}/v1/stream`);
    expect(seen).toBe("state 2");
  });

  test("a page of an origin that is not allowed is told which flag allows it", async () => {
    const other = await browser.newPage();
    await other.goto(`http://localhost:${site.port}/`);
    const seen = await other.evaluate(async (address) => {
      const sessiond = new client.Sessiond({ address, retry: { attempts: 1 } });
      const error = await sessiond.sessions.get("web-1").catch((e) => e);
      return { name: error.name, message: error.message, retryable: error.retryable };
    }, address);
    expect(seen).toEqual({
      name: "ServerUnavailableError",
      message: `no answer from sessiond at ${address}; start it with \`sessiond serve --allow-origin http://localhost:${site.port}\``,
      retryable: true,
    });
  });
});
