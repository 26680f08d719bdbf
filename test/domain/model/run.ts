import fc from "fast-check";
import type { Engine } from "../../support/app.ts";
import { happenings } from "./commands/index.ts";
import { checkInvariants } from "./invariants.ts";
import { Real } from "./real.ts";
import { Watched } from "./watched.ts";
import { type Happening, World } from "./world.ts";

/** Both sides of a run, and those who look on. */
interface Stage {
  readonly real: Real;
  readonly watched: Watched;
}

type Command = fc.AsyncCommand<World, Stage>;

/** A happening as fast-check runs it: followed by a look at everything. */
function command(happening: Happening): Command {
  return {
    check: (world) => happening.canRun?.(world) ?? true,
    async run(world, { real, watched }) {
      // A restart ends the watch; the reader has seen all there was.
      await watched.catchUp(real.domain);
      await happening.run(world, real);
      await checkInvariants(world, real);
    },
    toString: happening.toString,
  };
}

/** Runs lists of happenings on the model and on an engine, and compares after each of them. */
export async function runModel(
  engine: Engine,
  parameters: fc.Parameters<unknown> & { readonly maxCommands?: number },
): Promise<void> {
  const { maxCommands = 40, ...rest } = parameters;
  const all = happenings.map((arbitrary) => arbitrary.map(command));
  const commands = fc.commands(all, { maxCommands, size: "max" });
  await fc.assert(
    fc.asyncProperty(commands, async (commands) => {
      const world = new World();
      const stage = { real: await Real.open(engine), watched: new Watched() };
      try {
        await fc.asyncModelRun(() => ({ model: world, real: stage }), commands);
        await stage.watched.catchUp(stage.real.domain);
        stage.watched.check(world.model);
        const whole = new Watched();
        await whole.catchUp(stage.real.domain);
        whole.check(world.model);
      } finally {
        await stage.real.close();
      }
    }),
    rest as fc.Parameters<[Iterable<Command>]>,
  );
}
