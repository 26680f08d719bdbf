import { create } from "@bufbuild/protobuf";
import { DeleteSessionRequestSchema } from "@sessiond/contract";
import fc from "fast-check";
import { expect } from "vitest";
import { someName } from "../pool.ts";
import { answerOf, type Happening } from "../world.ts";

/** DeleteSession, with all children, also of what is not there. */
export const deleting: fc.Arbitrary<Happening> = fc
  .record({ name: someName, allowMissing: fc.boolean(), isRepeatable: fc.boolean() })
  .map((args) => ({
    toString: () => `delete ${JSON.stringify(args)}`,
    async run(world, real) {
      const { name, allowMissing } = args;
      const requestId = world.requestId(args.isRepeatable);
      const request = create(DeleteSessionRequestSchema, {
        ...{ sessionId: name, allowMissing, requestId },
      });
      const wanted = world.model.delete(name);
      const answer = await answerOf(real.domain.sessions.delete(request));
      world.remember(
        request,
        answer,
        (again) => real.domain.sessions.delete(again),
        (other) => ({ ...other, allowMissing: !allowMissing }),
      );
      if ("children" in wanted) {
        expect(answer).toMatchObject({ deleted: true, childCount: wanted.children });
      } else if (allowMissing) expect(answer).toMatchObject({ deleted: false });
      else expect(answer).toEqual(wanted);
    },
  }));
