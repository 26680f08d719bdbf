import { limits } from "../limits.ts";

/** How many entries a page has, for a `page_size` that was checked not to be negative. */
export function pageSizeOf(requested: number): number {
  return requested === 0 ? limits.defaultPageSize : Math.min(requested, limits.pageSize);
}
