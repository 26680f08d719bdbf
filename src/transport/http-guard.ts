import type { IncomingMessage, ServerResponse } from "node:http";
import { type ConnectError, cors } from "@connectrpc/connect";
import { failure } from "./errors.ts";
import { refused } from "./http-error.ts";

/** Who may send requests over HTTP/1.1. */
export interface GuardOptions {
  /** Names a request may give as its Host, beside the loopback ones. Without port. */
  readonly allowHosts: readonly string[];
  /** Origins of pages that may send requests, such as `http://localhost:5173`. */
  readonly allowOrigins: readonly string[];
}

/** A host without its port: a name, an IPv4 address, or an IPv6 address in brackets. */
const HOST = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::\d{1,5})?$/i;
const LOOPBACK_V4 = /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/;
const METHODS = new Set(["GET", "HEAD", "POST", "OPTIONS"]);
const PREFLIGHT_SECONDS = 7_200;
/**
 * Programs that read streams with `fetch` continue them by Last-Event-ID, as EventSource does; pages that
 * are traced say so.
 */
const ALLOWED_HEADERS = [...cors.allowedHeaders, "Last-Event-ID", "traceparent", "tracestate"].join(
  ", ",
);

/**
 * Looks at the head of a request before anything else does. Never throws.
 *
 * It keeps out what would crash the adapter behind it (a malformed or absent Host, a malformed
 * target) and what a page in a browser could send to a local server: a Host that is not this one
 * (DNS rebinding), an Origin that is not listed, and what a page of another site embeds or links to
 * (browsers send no Origin with a GET).
 *
 * Gives the error to answer with. Absent: the request may go on.
 */
export class HttpGuard {
  readonly #hosts: ReadonlySet<string>;
  readonly #origins: ReadonlySet<string>;

  constructor(options: GuardOptions) {
    this.#hosts = new Set(options.allowHosts.map((host) => host.toLowerCase()));
    this.#origins = new Set(options.allowOrigins);
  }

  refusalOf(request: IncomingMessage): ConnectError | undefined {
    const { method = "", url = "" } = request;
    const { host, origin } = request.headers;
    if (!METHODS.has(method)) {
      return refused("method", method, "is not served; use POST");
    }
    const name = HOST.exec(host ?? "")?.[1]?.toLowerCase();
    if (host === undefined || name === undefined || !URL.canParse(`http://${host}`)) {
      return refused("host", host ?? "", "is missing or malformed; send `Host: localhost`");
    }
    if (!url.startsWith("/") || !URL.canParse(url, `http://${host}`)) {
      return refused("path", url, "is not a path; send one that begins with /");
    }
    if (!isLoopback(name) && !this.#hosts.has(name)) {
      return notAllowed("host", host, "--allow-host");
    }
    if (origin !== undefined && !this.#origins.has(origin)) {
      return notAllowed("origin", origin, "--allow-origin");
    }
    const site = request.headers["sec-fetch-site"];
    if (origin === undefined && (site === "cross-site" || site === "same-site")) {
      return fromOtherSite(String(site));
    }
    return undefined;
  }

  /**
   * Adds the CORS headers to the answer for a listed origin, and answers a preflight.
   * True: the request is answered.
   */
  answerPreflight(request: IncomingMessage, response: ServerResponse): boolean {
    const { origin } = request.headers;
    if (origin !== undefined) {
      response.setHeader("access-control-allow-origin", origin);
      response.setHeader("access-control-expose-headers", cors.exposedHeaders.join(", "));
      response.setHeader("vary", "origin");
    }
    if (request.method !== "OPTIONS") {
      return false;
    }
    if (origin !== undefined) {
      response.setHeader("access-control-allow-methods", cors.allowedMethods.join(", "));
      response.setHeader("access-control-allow-headers", ALLOWED_HEADERS);
      response.setHeader("access-control-max-age", PREFLIGHT_SECONDS);
    }
    response.writeHead(204);
    response.end();
    return true;
  }
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name === "[::1]" || LOOPBACK_V4.test(name);
}

function notAllowed(header: "host" | "origin", value: string, option: string): ConnectError {
  const shown = value.slice(0, 200);
  return failure({
    reason: "ORIGIN_REFUSED",
    message: `${header} "${shown}" is not allowed; add it with ${option} if you trust it`,
    details: { header, value: shown },
  });
}

function fromOtherSite(site: string): ConnectError {
  return failure({
    reason: "ORIGIN_REFUSED",
    message: "the request comes from a page of another site; use fetch from a listed origin",
    details: { header: "sec-fetch-site", value: site },
  });
}
