import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";

export const alertsFile = fileURLToPath(
  new URL("../../deploy/prometheus/alerts.yaml", import.meta.url),
);

/** Whether Debian's prometheus and promtool are there. */
export function hasPrometheus(): boolean {
  return ["prometheus", "promtool"].every((name) => spawnSync(name, ["--version"]).status === 0);
}

/** What promtool says to an input; everything but "" and 0 is a complaint. */
export function promtool(args: readonly string[], input = "") {
  const { status, stdout, stderr } = spawnSync("promtool", args, { input, encoding: "utf8" });
  return { status, said: `${stdout}${stderr}` };
}

/** An answer to a query: the value of each series by its labels as JSON. */
export type Answer = readonly {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}[];

/** A Prometheus of its own that scrapes one server. Disposing ends it. */
export interface Prometheus extends AsyncDisposable {
  query(expr: string): Promise<Answer>;
  /** What its API says at a path. Errors: what it refuses. */
  get(path: string): Promise<unknown>;
}

const listening = /msg="Listening on" address=(\S+)/;

/** Starts a Prometheus on a free port of the loopback interface. Errors: it ends early. */
export async function startPrometheus(folder: string, target: string): Promise<Prometheus> {
  const config = join(folder, "prometheus.yml");
  const content = {
    global: { scrape_interval: "100ms", scrape_timeout: "100ms", evaluation_interval: "1s" },
    rule_files: [alertsFile],
    scrape_configs: [{ job_name: "sessiond", static_configs: [{ targets: [target] }] }],
  };
  await writeFile(config, stringify(content));
  const child = spawn(
    "prometheus",
    [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, "data")}`,
      "--web.listen-address=127.0.0.1:0",
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  const exited = once(child, "exit");
  let log = "";
  const address = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`prometheus ended early:\n${log}`)));
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      log += chunk;
      const found = listening.exec(log)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
  const get = async (path: string) => {
    const response = await fetch(`http://${address}/api/v1/${path}`);
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return ((await response.json()) as { data?: unknown }).data;
  };
  return {
    get,
    query: async (expr) => {
      const data = (await get(`query?query=${encodeURIComponent(expr)}`)) as
        | { result: { metric: Record<string, string>; value: [number, string] }[] }
        | undefined;
      return (data?.result ?? []).map(({ metric, value: [, value] }) => ({
        metric,
        value: Number(value),
      }));
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
