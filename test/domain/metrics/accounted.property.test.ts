import fc from "fast-check";
import { expect, test } from "vitest";
import type { Engine } from "../../support/app.ts";
import { happenings } from "../model/commands/index.ts";
import { Real } from "../model/real.ts";
import { type Happening, World } from "../model/world.ts";
import { checkAccount } from "./account.ts";
import { Ledger } from "./ledger.ts";

/** By hand many times as many, with `MODEL_RUNS=20` in front of the command that runs this file. */
const { MODEL_RUNS = "1" } = process.env;
const times = Number(MODEL_RUNS);
const timeout = 120_000 * times;

interface Stage {
  readonly real: Real;
  readonly ledger: Ledger;
  /** Things that have happened. */
  happened: number;
}

/** So often the account is looked at while things happen: what was read before may be out of date. */
const lookEvery = 8;

type Command = fc.AsyncCommand<World, Stage>;

/** A happening after which all of it is in the ledger. */
function command(happening: Happening): Command {
  return {
    check: (world) => happening.canRun?.(world) ?? true,
    async run(world, stage) {
      const { real, ledger } = stage;
      // A restart opens another store.
      ledger.attach(real.domain.store);
      await happening.run(world, real);
      await real.domain.settled();
      await ledger.settle(real.domain.store);
      stage.happened += 1;
      if (stage.happened % lookEvery === 0) await checkAccount(real.domain, ledger);
    },
    toString: happening.toString,
  };
}

async function run(engine: Engine, numRuns: number): Promise<number> {
  let facts = 0;
  const all = happenings.map((arbitrary) => arbitrary.map(command));
  const commands = fc.commands(all, { maxCommands: 40, size: "max" });
  await fc.assert(
    fc.asyncProperty(commands, async (commands) => {
      const stage = { real: await Real.open(engine), ledger: new Ledger(), happened: 0 };
      const { real, ledger } = stage;
      try {
        await fc.asyncModelRun(() => ({ model: new World(), real: stage }), commands);
        await checkAccount(real.domain, ledger);
        await real.restart();
        await checkAccount(real.domain, ledger);
        facts += ledger.hours().length;
      } finally {
        // Looks through the store, and recounts every log.
        await real.close();
      }
    }),
    { numRuns },
  );
  return facts;
}

test("Accounted: aggregates of a run in memory equal the ledger of it", { timeout }, async () => {
  expect(await run("memory", 100 * times)).toBeGreaterThan(100);
});

test("Accounted: aggregates of a run on disk equal the ledger of it", { timeout }, async () => {
  expect(await run("lmdb", 25 * times)).toBeGreaterThan(25);
});
