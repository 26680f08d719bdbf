import type { App } from "../app.ts";
import type { Config } from "../config.ts";
import { limits } from "../limits.ts";
import { version } from "../version.ts";

const firstEvent = JSON.stringify({
  sessionId: "demo",
  createIfMissing: true,
  events: [{ role: "ROLE_USER", message: { text: "I want to visit Japan next month" } }],
});

const durability = {
  lmdb: "durable: what was acknowledged survives a crash and a power cut",
  memory: "NOT durable: everything is gone when the server stops",
} satisfies Record<Config["store"], string>;

/** What a start prints: where the server is, where the data is, a first call, and how to stop. */
export function startText(config: Config, addresses: App["addresses"]): string {
  const { listen, unix, probe } = addresses;
  const places = [listen, unix].filter((place) => place !== undefined).join(" and ");
  const call = `/sessiond.v1.EventService/AppendEvents -H 'content-type: application/json' -d '${firstEvent}'`;
  return [
    `sessiond ${version} listens on ${places} (gRPC, Connect, gRPC-Web and JSON)`,
    probe === undefined ? [] : `  health for probes   ${probe}`,
    config.store === "memory" ? [] : `  data folder         ${config.data}`,
    `  store               ${config.store}, ${durability[config.store]}`,
    "",
    "Append a first event:",
    "",
    `  curl -s ${curlTarget(addresses)}${call}`,
    "",
    `Stop with Ctrl+C; calls under way have ${limits.drainMs / 1000} s to finish.`,
    "",
  ]
    .flat()
    .join("\n");
}

function curlTarget({ listen, unix }: App["addresses"]): string {
  if (listen !== undefined) return listen.replace(/^127\.0\.0\.1:/, "localhost:");
  return `--unix-socket '${unix?.replaceAll("'", `'\\''`)}' http://localhost`;
}
