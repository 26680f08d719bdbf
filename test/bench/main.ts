import { aggregatesBench } from "./aggregates.ts";
import { appendBench } from "./append.ts";
import { bundlesBench } from "./bundles.ts";
import { clientBench } from "./client.ts";
import { clientWatchBench } from "./client-watch.ts";
import { consumerBench } from "./consumer.ts";
import { diskBench } from "./disk.ts";
import { forksBench } from "./forks.ts";
import { imageBench } from "./image.ts";
import { listBench } from "./list.ts";
import { logSweepBench } from "./log-sweep.ts";
import { memoryBench } from "./memory.ts";
import { profileBench } from "./profile.ts";
import { scrapeBench } from "./scrape.ts";
import { sinksBench } from "./sinks.ts";
import { startBench } from "./start.ts";
import { type Bench, describeMachine, textReport } from "./support/report.ts";
import { sweepBench } from "./sweep.ts";
import { tokensBench } from "./tokens.ts";
import { verifyBench } from "./verify.ts";
import { watchBench } from "./watch.ts";
import { watchCostBench } from "./watch-cost.ts";
import { watchMemoryBench } from "./watch-memory.ts";
import { windowsBench } from "./windows.ts";

/** Benchmarks by name; `npm run bench -- append watch` runs some of them. */
const benches = {
  append: appendBench,
  watch: watchBench,
  "watch-cost": watchCostBench,
  "watch-memory": watchMemoryBench,
  client: clientBench,
  "client-watch": clientWatchBench,
  consumer: consumerBench,
  list: listBench,
  start: startBench,
  scrape: scrapeBench,
  sinks: sinksBench,
  aggregates: aggregatesBench,
  memory: memoryBench,
  disk: diskBench,
  sweep: sweepBench,
  "log-sweep": logSweepBench,
  forks: forksBench,
  verify: verifyBench,
  bundles: bundlesBench,
  image: imageBench,
  tokens: tokensBench,
  windows: windowsBench,
  profile: profileBench,
} satisfies Record<string, Bench>;

/** Explain numbers, or take minutes: they run only when they are asked for. */
const onlyByName: readonly string[] = ["profile", "image", "log-sweep"];

const chosen = process.argv.slice(2);
const unknown = chosen.filter((name) => !(name in benches));
if (unknown.length > 0) {
  process.stderr.write(
    `no benchmark ${unknown.join(", ")}; there are ${Object.keys(benches).join(", ")}\n`,
  );
  process.exit(2);
}
process.stdout.write(`${describeMachine()}\n`);
for (const [name, bench] of Object.entries(benches)) {
  const wanted = chosen.length === 0 ? !onlyByName.includes(name) : chosen.includes(name);
  if (wanted) await bench(textReport);
}
