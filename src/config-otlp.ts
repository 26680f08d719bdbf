import * as z from "zod";
import { Secret } from "./config-summariser.ts";
import { duration, isLoopback } from "./config-values.ts";
import { limits } from "./limits.ts";
import type { OtlpSettings } from "./sinks/otlp/settings.ts";
import { version } from "./version.ts";

/** Settings of an `otlp` sink; headers may be keys. */
export interface OtlpReceiverConfig extends Omit<OtlpSettings, "headers"> {
  readonly headers: Readonly<Record<string, Secret>>;
}

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}$/, {
  error: "is no name of a header",
});
const headerValue = z.string().regex(/^[\x20-\x7e]{0,8192}$/, {
  error: "must be printable ASCII",
});
const attribute = z.string().min(1).max(1_024);

/** What the file may say of an `otlp` sink, beside what it may say of any. */
export const otlpFields = {
  endpoint: z.string().optional(),
  allow_plain_http: z.boolean().default(false),
  headers: z.record(headerName, headerValue).optional(),
  signals: z
    .array(z.enum(["logs", "traces"]))
    .min(1)
    .optional(),
  compression: z.enum(["gzip", "none"]).optional(),
  timeout: duration.optional(),
  resource: z.record(attribute, attribute).optional(),
};

type Given = z.infer<z.ZodObject<typeof otlpFields>>;

/** Something about an `otlp` sink is wrong, in the file or in a variable. */
export class OtlpIssue extends Error {
  /** Of the file. Absent: it is a variable. */
  readonly field: string | undefined;

  constructor(message: string, field?: string) {
    super(message);
    this.field = field;
  }
}

/**
 * What an `otlp` sink works by; what the file leaves out comes from OpenTelemetry's variables.
 *
 * Errors: OtlpIssue.
 */
export async function readOtlp(
  given: Given,
  env: Readonly<Record<string, string | undefined>>,
): Promise<OtlpReceiverConfig> {
  const { endpointsOf, OtlpSettingsError, settingsOf } = await import("./sinks/otlp/settings.ts");
  const { allow_plain_http: mayBePlain, timeout: timeoutMs } = given;
  const { endpoint, headers: own, signals, compression, resource } = given;
  try {
    const config = { endpoint, headers: own, signals, compression, timeoutMs, resource };
    const plain = endpointsOf(config, env).find(({ url }) => !isPrivate(url.href));
    if (!mayBePlain && plain !== undefined) {
      throw new OtlpSettingsError(
        plain.from,
        "is http to another machine, where others can read the events; use https, or set allow_plain_http",
      );
    }
    const settings = settingsOf(config, { env, version, memoryBytes: limits.otlpMemoryBytes });
    const headers = Object.entries(settings.headers).map(
      ([name, value]) => [name, new Secret(value)] as const,
    );
    return { ...settings, headers: Object.fromEntries(headers) };
  } catch (error) {
    if (!(error instanceof OtlpSettingsError)) throw error;
    const isField = error.field in given;
    throw new OtlpIssue(isField ? error.what : error.message, isField ? error.field : undefined);
  }
}

/** Nobody on the way can read what is sent there. */
export function isPrivate(url: string): boolean {
  const { protocol, hostname } = new URL(url);
  return protocol === "https:" || isLoopback(hostname.replace(/^\[(.*)\]$/, "$1"));
}
