import { readFileSync } from "node:fs";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "@sessiond/contract/rpc";
import { describe, expect, it } from "vitest";
import { InvalidFieldError, RevisionConflictError } from "../../src/errors.ts";
import {
  codeOfReason,
  type Defect,
  toConnectError,
  undecodable,
} from "../../src/transport/errors.ts";
import { statusDetails } from "../../src/transport/grpc-status.ts";

const noDefect = () => {
  throw new Error("this is no defect");
};

describe("the table of codes", () => {
  const proto = readFileSync(
    new URL("../../proto/sessiond/v1/error_reason.proto", import.meta.url),
    "utf8",
  );
  const documented = new Map<string, string>();
  let code: string | undefined;
  for (const line of proto.split("\n")) {
    code ??= /^ {2}\/\/ ([A-Z_]+)(?:\.| or )/.exec(line)?.[1];
    const reason = /ERROR_REASON_(\w+) = [1-9]/.exec(line)?.[1];
    if (reason !== undefined) {
      documented.set(reason, code ?? "");
    }
    if (line.includes(" = ")) {
      code = undefined;
    }
  }

  it("has the codes that the contract documents", () => {
    const table = Object.entries(codeOfReason).map(([reason, code]) => {
      const words = Code[code].replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
      return [reason, words === "CANCELED" ? "CANCELLED" : words];
    });
    expect(Object.fromEntries(table)).toEqual(Object.fromEntries(documented));
  });
});

describe("an error on its way out", () => {
  it("keeps message, reason and values of the domain", () => {
    const error = toConnectError(
      new RevisionConflictError({ sessionId: "demo", expected: 41, actual: 43 }),
      noDefect,
    );
    expect(error.code).toBe(Code.Aborted);
    expect(error.rawMessage).toContain("expected revision 41");
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "REVISION_CONFLICT",
      domain: "sessiond.dev",
      metadata: { session_id: "demo", expected: "41", actual: "43" },
    });
  });

  it("names every wrong field", () => {
    const error = toConnectError(
      new InvalidFieldError(
        { field: "events[0].message.text", description: "is empty" },
        { field: "session_id", description: "is too long" },
      ),
      noDefect,
    );
    expect(error.code).toBe(Code.InvalidArgument);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toMatchObject([
      { field: "events[0].message.text", description: "is empty" },
      { field: "session_id", description: "is too long" },
    ]);
  });

  it("is INTERNAL with an id, and its cause goes to the log only, when it is a defect", () => {
    const defects: Defect[] = [];
    const cause = new TypeError("secret");
    const error = toConnectError(cause, (defect) => defects.push(defect));
    expect(error.code).toBe(Code.Internal);
    expect(error.rawMessage).not.toContain("secret");
    const info = error.findDetails(ErrorInfoSchema)[0];
    expect(info?.reason).toBe("INTERNAL");
    const { request_id } = { ...info?.metadata };
    expect(defects).toEqual([{ requestId: request_id, cause }]);
  });

  it("says that the caller gave up for an abort and for a timeout", () => {
    const abort = toConnectError(AbortSignal.abort().reason, noDefect);
    const timeout = toConnectError(new DOMException("", "TimeoutError"), noDefect);
    expect([abort.code, timeout.code]).toEqual([Code.Canceled, Code.DeadlineExceeded]);
    expect(abort.findDetails(ErrorInfoSchema)[0]?.reason).toBe("CALL_ABANDONED");
  });

  it("passes unchanged when it has its details", () => {
    const once = toConnectError(new ConnectError("parse binary: eof", Code.Internal), noDefect);
    expect(once.code).toBe(Code.InvalidArgument);
    expect(toConnectError(once, noDefect)).toBe(once);
  });

  it("is cut to what fits into headers, and has no half characters", () => {
    const error = toConnectError(
      new InvalidFieldError({ field: "a\ud800", description: "😀".repeat(3_000) }),
      noDefect,
    );
    expect(error.rawMessage.length).toBeLessThan(1_100);
    expect(error.rawMessage.isWellFormed()).toBe(true);
    expect(statusDetails(error).length).toBeLessThan(4_096);
  });
});

it.each([
  [
    'cannot decode field sessiond.v1.Event.turn from JSON: expected number (uint32), got "a \\"secret\\""',
    "cannot decode field sessiond.v1.Event.turn from JSON: expected number (uint32), got a text",
  ],
  [
    'cannot decode message google.protobuf.Duration from JSON: "secret"',
    "cannot decode message google.protobuf.Duration from JSON: a text",
  ],
  [
    'cannot decode enum sessiond.v1.Role from JSON: "ROLE_USR"',
    'cannot decode enum sessiond.v1.Role from JSON: "ROLE_USR"',
  ],
  [
    'cannot decode message M from JSON: Unexpected token \'s\', ..."text": secret}"... is not valid JSON',
    "cannot decode message M from JSON: Unexpected token 's'; it is not valid JSON",
  ],
  [
    'cannot decode message M from JSON: key "sesionId" is unknown',
    'cannot decode message M from JSON: key "sesionId" is unknown',
  ],
])("a decoder that says %s is repeated without what it quotes", (said, told) => {
  expect(undecodable(said).rawMessage).toBe(`the request cannot be decoded: ${told}`);
});

it("a message as long as its caller likes takes no time", () => {
  expect(undecodable(`key "${', "'.repeat(2_000_000)}" is unknown`).rawMessage).toHaveLength(1_001);
});
