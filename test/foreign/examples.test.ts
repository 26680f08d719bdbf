import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { needs } from "../support/needs.ts";
import { commandsOf } from "./readme.ts";
import { type Told, tell } from "./story.ts";

const runs = (...command: readonly [string, ...string[]]) => {
  const [file, ...args] = command;
  return spawnSync(file, args).status === 0;
};
const generates = () => runs("protoc", "--version");
const canPython = needs("Debian's python3-grpcio and protobuf-compiler-grpc", () => {
  const imports = "import grpc, google.protobuf";
  return (
    generates() &&
    existsSync("/usr/bin/grpc_python_plugin") &&
    runs("/usr/bin/python3", "-c", imports)
  );
});
const canGo = needs("Debian's golang-go, golang-google-grpc-dev and protoc-gen-go-grpc", () => {
  const library = "/usr/share/gocode/src/google.golang.org";
  return (
    generates() &&
    runs("go", "version") &&
    existsSync(`${library}/grpc`) &&
    existsSync(`${library}/protobuf`) &&
    runs("sh", "-c", "command -v protoc-gen-go protoc-gen-go-grpc")
  );
});
const canShell = needs("bash, curl and jq", () =>
  runs("sh", "-c", "command -v bash && command -v curl && command -v jq"),
);

describe.each([
  { name: "Python", can: canPython, section: "Python", program: "" },
  { name: "Go", can: canGo, section: "Go", program: "" },
  { name: "curl", can: canShell, section: "Shell", program: "/curl.sh" },
  { name: "buf curl", can: canShell, section: "Shell", program: "/buf-curl.sh" },
])("the example with $name", ({ can, section, program }) => {
  let told: Told;
  beforeAll(async () => {
    if (!can) return;
    const folder = await mkdtemp(join(tmpdir(), "sessiond-example-"));
    try {
      const lines = (await commandsOf(section, folder)).split("\n");
      // The shell's section has a line for each of its programs.
      const own = program === "" ? lines : lines.filter((line) => line.endsWith(program));
      told = await tell(own.join("\n"));
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 240_000);

  it.runIf(can)("runs to its end and says nothing on stderr", () => {
    expect(told).toMatchObject({ exitCode: 0, stderr: "" });
  });

  it.runIf(can)("creates a session, appends to it, and lists it in pages", () => {
    expect(told.sessionId).toMatch(/^session-\d{8}-\d{6}-[0-9a-f]{8}$/);
    expect(told.lines).toMatchObject({
      appended: ["2 3"],
      listed: ["1 session_started", "2 message", "3 tool_call"],
    });
  });

  it.runIf(can)(
    "gets a context window in which the call that waits has a result: Never rejected",
    () => {
      expect(told.lines).toMatchObject({ window: ["user assistant tool"] });
    },
  );

  it.runIf(can)("sees each event once and in order over a restart: Resumable", () => {
    const { watched } = told.lines;
    expect(watched).toEqual([
      "1 session_started",
      "2 message",
      "3 tool_call",
      "4 tool_result",
      "5 message",
      "6 session_ended",
    ]);
  });

  it.runIf(can)("meets errors with their codes, reasons and values", () => {
    const { refused } = told.lines;
    expect(refused).toEqual([
      "aborted REVISION_CONFLICT actual=3 expected=1 session_id=ID",
      "notfound SESSION_NOT_FOUND namespace=default session_id=nobody",
      "failedprecondition SESSION_ENDED session_id=ID state=COMPLETED",
    ]);
  });
});
