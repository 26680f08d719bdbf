import { isIPv4, isIPv6 } from "node:net";
import * as z from "zod";

/** Where a server listens. */
export interface Address {
  /** Name or IP address; IPv6 without brackets. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

const units = { "": 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** `host:port`, `[::1]:port`, or a port of 127.0.0.1. */
export const address = z.union([z.string(), z.int()]).transform((value, context): Address => {
  const match = /^(?:(?:\[(?<v6>[^\]]+)\]|(?<name>[^:[\]]+)):)?(?<port>\d{1,5})$/.exec(
    String(value),
  );
  const { v6, name, port } = match?.groups ?? {};
  const host = (v6 ?? name ?? "127.0.0.1").toLowerCase();
  const isHost = v6 === undefined ? isIPv4(host) || isName(host) : isIPv6(v6);
  if (port === undefined || Number(port) > 65_535 || !isHost) {
    context.addIssue("not an address");
    return z.NEVER;
  }
  return { host, port: Number(port) };
});

/** An address, or `off`, which gives undefined. YAML 1.1 habits make it `false` as well. */
export const addressOrOff = z.union([
  z.literal(["off", false]).transform(() => undefined),
  address,
]);

export const path = z.string().min(1);

/** The kernel's bound for the name of a unix socket. */
export const socketPath = path.refine((value) => Buffer.byteLength(value) <= 107).optional();

/** `true` or `false`, also as the text of a variable (`1`, `yes`, `on` and their opposites too). */
export const toggle = z.union([z.boolean(), z.stringbool()]);

const list = z
  .union([z.string().transform((value) => [value]), z.array(z.string())])
  .transform((values) => values.flatMap((value) => value.split(",")))
  .transform((values) => values.map((value) => value.trim().toLowerCase()))
  .transform((values) => values.filter((value) => value !== ""));

/** Names as they stand in a `Host` header, in lower case, from an array or separated by commas. */
export const hosts = list.refine((values) => values.every((value) => /^[^\s/@?#]+$/.test(value)));

/** Values as they stand in an `Origin` header, from an array or separated by commas. */
export const origins = list.refine((values) =>
  values.every((value) => URL.canParse(value) && new URL(value).origin === value),
);

/** What a size is, for messages. */
export const sizeWords = `bytes, at least "1MiB", such as "64GiB"`;
const noSize = `must be ${sizeWords}`;

/** A number of bytes, also with a unit: `64GiB`. At least a MiB. */
export const byteSize = z
  .union([z.string(), z.int()], { error: noSize })
  .transform((value, context) => {
    const match = /^(\d+) ?([KMGT]iB|)$/.exec(String(value));
    const bytes = Number(match?.[1]) * units[match?.[2] as keyof typeof units];
    if (Number.isSafeInteger(bytes) && bytes >= units.MiB) return bytes;
    context.addIssue(noSize);
    return z.NEVER;
  })
  .optional();

const noDuration = `must be a time from "1ms" to "10m", such as "30s"`;

/** A time, as `500ms`, `30s` or `2m`, in milliseconds. From 1 ms to 10 minutes. */
export const duration = z.string({ error: noDuration }).transform((value, context) => {
  const match = /^(\d{1,7}) ?(ms|s|m)$/.exec(value);
  const ms = Number(match?.[1]) * { ms: 1, s: 1_000, m: 60_000 }[(match?.[2] ?? "s") as "s"];
  if (ms >= 1 && ms <= 600_000) return ms;
  context.addIssue(noDuration);
  return z.NEVER;
});

const noSpan = `must be a time such as "15m" or "2h"`;

/** A time from 0 up to 10 years, as `30s`, `15m`, `2h` or `30d`, in milliseconds. */
export const span = z.string({ error: noSpan }).transform((value, context) => {
  const match = /^(\d{1,9}) ?(ms|s|m|h|d)$/.exec(value);
  const ms = Number(match?.[1]) * spanUnits[match?.[2] as keyof typeof spanUnits];
  if (ms >= 0 && ms <= 3_650 * spanUnits.d) return ms;
  context.addIssue(noSpan);
  return z.NEVER;
});

const spanUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Where an API begins: http or https, without user, query and fragment. */
export const apiUrl = z.string().refine((value) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const isPlain = url?.username === "" && url.password === "" && !/[?#\s]/.test(value);
  return isPlain && ["http:", "https:"].includes(url.protocol);
});

export const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
  error: "must be the name of a variable",
});

/** A whole number above 0, also as the text of a variable. */
export const count = z
  .union([
    z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number),
    z.int(),
  ])
  .refine((value) => value >= 1 && value <= 1_000_000);

/** True for addresses that only this machine reaches. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}

/** A host name; its last label is no number, so that a mistyped IPv4 address is none. */
function isName(host: string): boolean {
  return /^(?:[a-z0-9_-]+\.)*(?!\d+$)[a-z0-9_-]+$/.test(host) && host.length <= 253;
}
