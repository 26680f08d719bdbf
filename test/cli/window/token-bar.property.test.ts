import fc from "fast-check";
import { expect, test } from "vitest";
import { cellsOf } from "../../../src/cli/window/token-bar.ts";

const amounts = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 9 });
const columns = fc.integer({ min: 20, max: 400 });

test("a bar is as wide as the terminal, and every part has a cell of it", () => {
  fc.assert(
    fc.property(amounts, columns, (parts, width) => {
      const cells = cellsOf(parts, width);
      expect(cells.reduce((sum, cell) => sum + cell, 0)).toBe(width);
      expect(Math.min(...cells)).toBeGreaterThanOrEqual(1);
    }),
  );
});

test("of two parts of a bar the larger has no fewer cells", () => {
  fc.assert(
    fc.property(amounts, columns, (parts, width) => {
      const cells = cellsOf(parts, width);
      const bySize = parts.map((part, index) => [part, cells[index] ?? 0] as const);
      bySize.sort(([a, cellsA], [b, cellsB]) => a - b || cellsA - cellsB);
      const sorted = bySize.map(([, cell]) => cell);
      expect(sorted).toEqual(sorted.toSorted((a, b) => a - b));
    }),
  );
});
