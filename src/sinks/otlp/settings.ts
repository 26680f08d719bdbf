import { standard } from "./names.ts";
import type { Attributes } from "./records.ts";

/** What is sent, and to where. */
export type Signal = "logs" | "traces";
export const signals = ["logs", "traces"] as const satisfies readonly Signal[];

/** What a configuration says of an `otlp` sink. What it leaves out comes from the environment. */
export interface OtlpConfig {
  /** Base of a receiver of OTLP over HTTP, to which `/v1/logs` and `/v1/traces` are added. */
  readonly endpoint?: string | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Default: both. */
  readonly signals?: readonly Signal[] | undefined;
  /** Default "gzip". */
  readonly compression?: "gzip" | "none" | undefined;
  /** Time that one request may take. Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Attributes of the resource, for example `service.name`. */
  readonly resource?: Readonly<Record<string, string>> | undefined;
}

/** What the thread works by. */
export interface OtlpSettings {
  /** Absent: the signal is not sent. */
  readonly urls: Partial<Readonly<Record<Signal, string>>>;
  readonly headers: Readonly<Record<string, string>>;
  readonly compression: "gzip" | "none";
  readonly timeoutMs: number;
  readonly resource: Attributes;
  /** Of the server, which is the scope of everything sent. */
  readonly version: string;
  /** About what is remembered of sessions while they run. */
  readonly memoryBytes: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultEndpoint = "http://localhost:4318";
const defaultTimeoutMs = 10_000;
/** Of OTLP over gRPC, which answers HTTP with nothing that helps. */
const grpcPort = "4317";

/**
 * Settings out of a configuration, and for what it leaves out out of the variables that OpenTelemetry names
 * (`OTEL_EXPORTER_OTLP_*`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`).
 *
 * Errors: OtlpSettingsError.
 */
export function settingsOf(
  config: OtlpConfig,
  { env, version, memoryBytes }: { env: Environment; version: string; memoryBytes: number },
): OtlpSettings {
  const {
    OTEL_EXPORTER_OTLP_HEADERS: headers,
    OTEL_EXPORTER_OTLP_COMPRESSION: compression,
    OTEL_EXPORTER_OTLP_TIMEOUT: timeout,
    OTEL_RESOURCE_ATTRIBUTES: resource,
    OTEL_SERVICE_NAME: serviceName,
  } = env;
  return {
    urls: Object.fromEntries(endpointsOf(config, env).map(({ signal, url }) => [signal, url.href])),
    headers: { ...pairsOf(headers, "OTEL_EXPORTER_OTLP_HEADERS"), ...config.headers },
    compression: config.compression ?? compressionOf(compression),
    timeoutMs: config.timeoutMs ?? timeoutOf(timeout),
    resource: {
      [standard.ATTR_SERVICE_NAME]: "sessiond",
      [standard.ATTR_SERVICE_VERSION]: version,
      ...pairsOf(resource, "OTEL_RESOURCE_ATTRIBUTES"),
      ...(serviceName && { [standard.ATTR_SERVICE_NAME]: serviceName }),
      ...config.resource,
    },
    version,
    memoryBytes,
  };
}

/** Where a signal is sent. */
export interface Endpoint {
  readonly signal: Signal;
  readonly url: URL;
  /** Where it stands: a field of the configuration, or a variable. */
  readonly from: string;
}

/** Endpoints of the signals that are sent. Errors: OtlpSettingsError. */
export function endpointsOf(config: OtlpConfig, env: Environment): readonly Endpoint[] {
  return (config.signals ?? signals).map((signal) => ({
    signal,
    ...endpointOf(signal, config, env),
  }));
}

/** The endpoint of one signal stands as it is; the common one gets the signal's path. */
function endpointOf(
  signal: Signal,
  { endpoint }: OtlpConfig,
  env: Environment,
): Omit<Endpoint, "signal"> {
  if (endpoint === undefined) checkProtocol(signal, env);
  const variable = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`;
  const own = endpoint === undefined ? env[variable] : undefined;
  if (own) return { url: checkedUrl(own, variable), from: variable };
  const { OTEL_EXPORTER_OTLP_ENDPOINT: common } = env;
  const base = endpoint ?? (common || defaultEndpoint);
  const from = endpoint === undefined ? "OTEL_EXPORTER_OTLP_ENDPOINT" : "endpoint";
  const url = checkedUrl(base, from);
  url.pathname = `${url.pathname.replace(/\/+$/, "")}/v1/${signal}`;
  return { url, from };
}

/** An endpoint that the environment has for another protocol would never answer. */
function checkProtocol(signal: Signal, env: Environment): void {
  const common = "OTEL_EXPORTER_OTLP_PROTOCOL";
  const own = `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_PROTOCOL`;
  const name = env[own] ? own : common;
  const protocol = env[name];
  if (!protocol || protocol === "http/protobuf") return;
  throw new OtlpSettingsError(
    name,
    "asks for a protocol that sinks do not speak; they speak http/protobuf, so give the sink an endpoint for it",
  );
}

function checkedUrl(text: string, name: string): URL {
  if (!URL.canParse(text)) throw new OtlpSettingsError(name, "is no URL");
  const url = new URL(text);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new OtlpSettingsError(name, "is neither http:// nor https://");
  }
  if (url.username !== "" || url.password !== "") {
    throw new OtlpSettingsError(name, "has a user or a password in it; use headers");
  }
  if (url.port === grpcPort) {
    throw new OtlpSettingsError(
      name,
      `has port ${grpcPort}, which is for gRPC; sinks speak http/protobuf, so use the port for that, 4318`,
    );
  }
  return url;
}

/** `key=value` pairs with commas between them, percent-encoded, as W3C Baggage has them. */
function pairsOf(text: string | undefined, name: string): Record<string, string> {
  const pairs = (text ?? "")
    .split(",")
    .map((pair) => pair.trim())
    .filter((pair) => pair !== "");
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf("=");
      // The pair itself may be a secret.
      if (at < 1)
        throw new OtlpSettingsError(name, "must be key=value pairs with commas between them");
      return [decoded(pair.slice(0, at), name), decoded(pair.slice(at + 1), name)];
    }),
  );
}

function decoded(text: string, name: string): string {
  try {
    return decodeURIComponent(text.trim());
  } catch {
    throw new OtlpSettingsError(name, "has a % that encodes nothing");
  }
}

function compressionOf(text: string | undefined): "gzip" | "none" {
  return text === "none" ? "none" : "gzip";
}

function timeoutOf(text: string | undefined): number {
  if (!text) return defaultTimeoutMs;
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw new OtlpSettingsError("OTEL_EXPORTER_OTLP_TIMEOUT", "must be milliseconds from 1 on");
  }
  return Number(text);
}

/** A setting makes no sense. */
export class OtlpSettingsError extends Error {
  /** Where it stands: a field of the configuration, or a variable. */
  readonly field: string;
  readonly what: string;

  constructor(field: string, what: string) {
    super(`${field} ${what}`);
    this.name = "OtlpSettingsError";
    this.field = field;
    this.what = what;
  }
}
