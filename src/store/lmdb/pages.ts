import type { RootDatabase } from "lmdb";
import type { StoreSize } from "../store.ts";
import type { Table, Tables } from "./tables.ts";

/** How an LMDB file is filled. */
export interface Pages {
  /** Size of the file as its pages reach. */
  readonly fileBytes: number;
  /** Of these, pages without content, which writes use before the file grows. */
  readonly freeBytes: number;
  /** Size the file can reach. */
  readonly mapBytes: number;
}

interface TreeStats {
  readonly entryCount: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

/** What the driver reports and its types leave out. */
interface Stats extends TreeStats {
  readonly root: TreeStats;
  readonly free: TreeStats;
  readonly pageSize: number;
  readonly mapSize: number;
  readonly lastPageNumber: number;
  readonly numReaders: number;
  readonly maxReaders: number;
}

/** Two pages at the start of the file say where everything is. */
const META_PAGES = 2;

/** Measures the file. Some microseconds per table; no disk is touched. */
export function pagesOf(root: RootDatabase<Buffer, Buffer>, tables: readonly Table[]): Pages {
  const stats = root.getStats() as Stats;
  let used = META_PAGES + pagesOfTree(stats.root) + pagesOfTree(stats.free);
  for (const table of tables) used += pagesOfTree(table.getStats() as Stats);
  const pages = stats.lastPageNumber + 1;
  return {
    fileBytes: pages * stats.pageSize,
    freeBytes: Math.max(0, pages - used) * stats.pageSize,
    mapBytes: stats.mapSize,
  };
}

/** Measures the file and each table. */
export function sizeOf(environment: {
  readonly root: RootDatabase<Buffer, Buffer>;
  readonly tables: Tables;
}): StoreSize {
  const { root, tables } = environment;
  const { fileBytes, freeBytes, mapBytes } = pagesOf(root, Object.values(tables));
  const { pageSize, numReaders, maxReaders } = root.getStats() as Stats;
  return {
    fileBytes,
    freeBytes,
    maxBytes: mapBytes,
    readers: numReaders,
    maxReaders,
    tables: Object.entries(tables).map(([name, table]) => {
      const stats = table.getStats() as Stats;
      return { name, entries: stats.entryCount, bytes: pagesOfTree(stats) * pageSize };
    }),
  };
}

function pagesOfTree(tree: TreeStats): number {
  return tree.treeBranchPageCount + tree.treeLeafPageCount + tree.overflowPages;
}
