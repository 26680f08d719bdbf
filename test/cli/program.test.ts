import { describe, expect, test } from "vitest";
import { StartError } from "../../src/errors.ts";
import { version } from "../../src/version.ts";
import { commandLine } from "./support/command-line.ts";

/** Runs until the server is up, stops it by a signal, and gives what it was started with. */
async function configOf(argv: readonly string[], env: Record<string, string> = {}) {
  const line = commandLine(argv, env);
  const exit = line.run();
  await Promise.race([line.started, exit]);
  line.stopped.resolve();
  line.signal("SIGTERM");
  return { exit: await exit, config: line.configs[0], ...line.out };
}

describe("arguments", () => {
  test("without a command serve", async () => {
    for (const argv of [[], ["serve"]]) {
      const { exit, config } = await configOf(argv);
      expect(exit).toBe(0);
      expect(config).toMatchObject({ listen: { port: 7377 }, preloadTokenizer: true });
    }
  });

  test("reach the configuration, each under its name", async () => {
    const argv = ["--listen", "1", "--unix=/run/s", "--probe-listen", "off", "--data", "/d"];
    argv.push("--store", "memory", "--allow-host", "a,b", "--allow-host", "c");
    argv.push("--allow-origin", "http://a", "--no-preload-tokenizer", "--max-map-size", "1GiB");
    argv.push("--log-level", "silent", "--dangerously-allow-remote", "--sink-stdout");
    const { config } = await configOf(argv);
    expect(config).toEqual({
      listen: { host: "127.0.0.1", port: 1 },
      unix: "/run/s",
      probeListen: undefined,
      data: "/d",
      store: "memory",
      logLevel: "silent",
      allowHosts: ["a", "b", "c"],
      allowOrigins: ["http://a"],
      preloadTokenizer: false,
      maxMapSize: 2 ** 30,
      dangerouslyAllowRemote: true,
      sinkStdout: true,
      sinks: { stdout: expect.objectContaining({ type: "stdout" }) },
    });
  });

  test("that are absent leave the environment its say", async () => {
    const { config } = await configOf([], { SESSIOND_PRELOAD_TOKENIZER: "no" });
    expect(config?.preloadTokenizer).toBe(false);
  });

  test.each([[["--lisen", "1"]], [["serve", "more"]], [["--listen"]], [["tial", "-f"]]])(
    "that are wrong end with 2 and a line on stderr: %j",
    async (argv) => {
      const { exit, config, stdout, stderr } = await configOf(argv);
      expect({ exit, config, stdout }).toEqual({ exit: 2, config: undefined, stdout: "" });
      expect(stderr).toMatch(/^sessiond: \S/);
    },
  );

  test("--version and --help print to stdout and end with 0", async () => {
    expect(await configOf(["--version"])).toMatchObject({ exit: 0, stdout: `${version}\n` });
    const help = await configOf(["--help"]);
    expect(help).toMatchObject({ exit: 0, stderr: "" });
    expect(help.stdout).toContain("sessiond --listen 8000 --data /var/lib/sessiond");
  });
});

describe("a start", () => {
  test("says on stderr where the server is and how to call and stop it; stdout stays empty", async () => {
    const { stdout, stderr } = await configOf(["--data", "/var/lib/s"]);
    expect(stdout).toBe("");
    expect(stderr).toMatch(/listens on 127\.0\.0\.1:4711 /);
    expect(stderr).toMatch(/health for probes +127\.0\.0\.1:4712\n/);
    expect(stderr).toMatch(/data folder +\/var\/lib\/s\n/);
    expect(stderr).toMatch(/lmdb, durable: /);
    expect(stderr).toContain(
      `curl -s localhost:4711/sessiond.v1.EventService/AppendEvents -H 'content-type: application/json' -d '{"sessionId":"demo","createIfMissing":true,"events":[{"role":"ROLE_USER","message":{"text":"I want to visit Japan next month"}}]}'`,
    );
    expect(stderr).toContain("Stop with Ctrl+C; ");
  });

  test("says when nothing will be kept", async () => {
    const { stderr } = await configOf(["--store", "memory"]);
    expect(stderr).toContain("NOT durable");
    expect(stderr).not.toContain("data folder");
  });

  test("that is impossible ends with 2 and one sentence", async () => {
    const line = commandLine([]);
    const exit = await line.run({
      startApp: () => Promise.reject(new StartError("port 7377 is in use; choose another")),
    });
    expect(exit).toBe(2);
    expect(line.out.stderr).toBe("sessiond: port 7377 is in use; choose another\n");
    expect(line.listeners()).toBe(0);
  });

  test("that meets a defect ends with 1 and the stack", async () => {
    const line = commandLine([]);
    const exit = await line.run({ startApp: () => Promise.reject(new TypeError("defect")) });
    expect(exit).toBe(1);
    expect(line.out.stderr).toMatch(/^sessiond: TypeError: defect\n +at /);
  });
});

describe("a running server", () => {
  test.each(["SIGINT", "SIGTERM"] as const)(
    "stops in order at %s and ends with 0",
    async (name) => {
      const line = commandLine([]);
      const exit = line.run();
      await line.started;
      line.signal(name);
      line.stopped.resolve();
      expect(await exit).toBe(0);
      expect(line.stops()).toBe(1);
      expect(line.exits).toEqual([]);
      expect(line.listeners()).toBe(0);
    },
  );

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("ends at once at a second signal: %s gives %d", async (name, code) => {
    const line = commandLine([]);
    const exit = line.run();
    await line.started;
    line.signal("SIGTERM");
    expect(line.exits).toEqual([]);
    line.signal(name);
    expect(line.exits).toEqual([code]);
    line.stopped.resolve();
    await exit;
  });

  test("ends with 3 when its store fails, also while it stops", async () => {
    for (const isStopping of [false, true]) {
      const line = commandLine([]);
      const exit = line.run();
      await line.started;
      if (isStopping) line.signal("SIGTERM");
      line.failed.resolve(new Error("disk"));
      expect(await exit).toBe(3);
      expect(line.stops()).toBe(isStopping ? 1 : 0);
    }
  });

  test("ends with 1 at an error nobody caught", async () => {
    const line = commandLine([]);
    const exit = line.run();
    await line.started;
    line.crash(new Error("defect"));
    expect(line.exits).toEqual([1]);
    line.stopped.resolve();
    line.signal("SIGTERM");
    await exit;
  });
});
