import { appendBench } from "./append.ts";
import { diskBench } from "./disk.ts";
import { listBench } from "./list.ts";
import { memoryBench } from "./memory.ts";
import { profileBench } from "./profile.ts";
import { startBench } from "./start.ts";
import { type Bench, describeMachine, textReport } from "./support/report.ts";
import { tokensBench } from "./tokens.ts";
import { watchBench } from "./watch.ts";
import { watchCostBench } from "./watch-cost.ts";
import { watchMemoryBench } from "./watch-memory.ts";

/** Benchmarks by name; `npm run bench -- append watch` runs some of them. */
const benches = {
  append: appendBench,
  watch: watchBench,
  "watch-cost": watchCostBench,
  "watch-memory": watchMemoryBench,
  list: listBench,
  start: startBench,
  memory: memoryBench,
  disk: diskBench,
  tokens: tokensBench,
  profile: profileBench,
} satisfies Record<string, Bench>;

/** Explains numbers rather than giving them, so it runs only when it is asked for. */
const onlyByName: readonly string[] = ["profile"];

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
