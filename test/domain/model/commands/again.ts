import fc from "fast-check";
import { expect } from "vitest";
import { answerOf, type Happening, type Remembered, type World } from "../world.ts";

/** How long a request id is remembered for certain. */
const rememberedMs = 24 * 3_600_000;

const args = fc.record({ which: fc.nat(), isSame: fc.boolean() });

/** A retry that comes late: it gets the first answer, or is told that its id was used for something else. */
export const repeating: fc.Arbitrary<Happening> = args.map((args) => ({
  toString: () => `again ${JSON.stringify(args)}`,
  canRun: (world) => known(world).length > 0,
  async run(world) {
    const requests = known(world);
    const request = requests[args.which % requests.length] as Remembered;
    if (args.isSame) expect(await request.again()).toEqual(request.answer);
    else expect(await answerOf(request.otherwise())).toEqual({ refused: "REQUEST_ID_REUSED" });
  },
}));

function known({ remembered, model }: Pick<World, "model" | "remembered">): Remembered[] {
  return remembered.filter(({ atMs }) => model.nowMs < atMs + rememberedMs);
}
