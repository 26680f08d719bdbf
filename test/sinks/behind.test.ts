import { expect, it } from "vitest";
import { Behind } from "../../src/sinks/behind.ts";

it("namespaces have their turns in the order they fell behind, once each", async () => {
  const behind = new Behind({ lingerMs: 0 });
  for (const namespace of ["a", "b", "a", "c"]) behind.grew(namespace);
  expect(behind.commits).toBe(4);
  const turns: (string | undefined)[] = [];
  for (let n = 0; n < 3; n++) {
    turns.push(await behind.next());
    behind.lacks(0);
    behind.served();
  }
  expect(turns).toEqual(["a", "b", "c"]);
  expect(behind.commits).toBe(0);
});

it("one that still lacks something comes again behind the others", async () => {
  const behind = new Behind({ lingerMs: 0 });
  behind.grew("a");
  behind.grew("b");
  expect(await behind.next()).toBe("a");
  behind.grew("a");
  behind.lacks(5);
  behind.served();
  expect(await behind.next()).toBe("b");
  behind.lacks(0);
  behind.served();
  expect(await behind.next()).toBe("a");
});

it("a namespace that grows wakes who waits, and close does, too", async () => {
  const behind = new Behind({ lingerMs: 0 });
  const next = behind.next();
  behind.grew("a");
  expect(await next).toBe("a");
  behind.lacks(0);
  behind.served();
  const none = behind.next();
  behind.close();
  expect(await none).toBeUndefined();
});

it("in a hurry nobody waits for a turn, and the end of all is told", async () => {
  const behind = new Behind({ lingerMs: 60_000 });
  behind.grew("a");
  const next = behind.next();
  const empty = behind.hurry();
  expect(await next).toBe("a");
  behind.lacks(0);
  behind.served();
  void behind.next();
  await empty;
});
