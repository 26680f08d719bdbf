import { expect, test } from "vitest";
import {
  type OtlpConfig,
  OtlpSettingsError,
  settingsOf,
} from "../../../src/sinks/otlp/settings.ts";

const read = (config: OtlpConfig, env: Record<string, string> = {}) =>
  settingsOf(config, { env, version: "1.2.3", memoryBytes: 100_000 });

test("without a word everything goes to the usual port of this machine", () => {
  expect(read({})).toEqual({
    urls: { logs: "http://localhost:4318/v1/logs", traces: "http://localhost:4318/v1/traces" },
    headers: {},
    compression: "gzip",
    timeoutMs: 10_000,
    resource: { "service.name": "sessiond", "service.version": "1.2.3" },
    version: "1.2.3",
    memoryBytes: 100_000,
  });
});

test.each([
  ["https://o.example", "https://o.example/v1/logs"],
  ["https://o.example/", "https://o.example/v1/logs"],
  ["https://o.example/base//", "https://o.example/base/v1/logs"],
  ["http://[::1]:4318/a?key=b", "http://[::1]:4318/a/v1/logs?key=b"],
])("the path of a signal comes behind the endpoint %s", (endpoint, logs) => {
  expect(read({ endpoint }).urls.logs).toBe(logs);
  expect(read({}, { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }).urls.logs).toBe(logs);
});

test("what the configuration leaves out is what OpenTelemetry's variables say", () => {
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://common:1",
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://traces:2/here",
    OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%2Cb, x-team = blue",
    OTEL_EXPORTER_OTLP_TIMEOUT: "250",
    OTEL_EXPORTER_OTLP_COMPRESSION: "none",
    OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,service.name=other",
    OTEL_SERVICE_NAME: "agents",
  };
  expect(read({}, env)).toMatchObject({
    urls: { logs: "http://common:1/v1/logs", traces: "http://traces:2/here" },
    headers: { "api-key": "a,b", "x-team": "blue" },
    compression: "none",
    timeoutMs: 250,
    resource: { "deployment.environment.name": "test", "service.name": "agents" },
  });
  const config: OtlpConfig = {
    endpoint: "http://own:3",
    headers: { "x-team": "red" },
    compression: "gzip",
    timeoutMs: 5,
    signals: ["traces"],
    resource: { "service.name": "mine" },
  };
  expect(read(config, env)).toMatchObject({
    urls: { traces: "http://own:3/v1/traces" },
    headers: { "api-key": "a,b", "x-team": "red" },
    compression: "gzip",
    timeoutMs: 5,
    resource: { "deployment.environment.name": "test", "service.name": "mine" },
  });
  expect(read(config, env).urls.logs).toBeUndefined();
});

test("an endpoint of the configuration is for the protocol that sinks speak", () => {
  const env = { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
  expect(read({ endpoint: "http://own:3" }, env).urls.logs).toBe("http://own:3/v1/logs");
  expect(read({}, { OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf" }).urls.logs).toBeDefined();
});

test.each([
  [{ endpoint: "nowhere" }, {}, "endpoint"],
  [{ endpoint: "ftp://o.example" }, {}, "endpoint"],
  [{ endpoint: "http://me:secret@o.example" }, {}, "endpoint"],
  [{ endpoint: "https://o.example:4317/" }, {}, "endpoint"],
  [{}, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://o.example:4317" }, "OTEL_EXPORTER_OTLP_ENDPOINT"],
  [{}, { OTEL_EXPORTER_OTLP_LOGS_ENDPOINT: "nowhere" }, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
  [{}, { OTEL_EXPORTER_OTLP_HEADERS: "secret" }, "OTEL_EXPORTER_OTLP_HEADERS"],
  [{}, { OTEL_RESOURCE_ATTRIBUTES: "a=%zz" }, "OTEL_RESOURCE_ATTRIBUTES"],
  [{}, { OTEL_EXPORTER_OTLP_TIMEOUT: "soon" }, "OTEL_EXPORTER_OTLP_TIMEOUT"],
  [{}, { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, "OTEL_EXPORTER_OTLP_PROTOCOL"],
  [{}, { OTEL_EXPORTER_OTLP_LOGS_PROTOCOL: "http/json" }, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL"],
] as const)("a setting that makes no sense is named: %j %j", (config, env, field) => {
  const failure = expectFailure(() => read(config, env));
  expect(failure.field).toBe(field);
  expect(failure.message).not.toContain("secret");
});

function expectFailure(run: () => unknown): OtlpSettingsError {
  try {
    run();
  } catch (error) {
    if (error instanceof OtlpSettingsError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
