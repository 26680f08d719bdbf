import { cpus } from "node:os";

export type Row = Readonly<Record<string, string | number>>;

/** Where benchmarks put what they found. */
export interface Report {
  table(title: string, rows: readonly Row[]): void;
}

export type Bench = (report: Report) => Promise<void>;

const write = (text: string) => process.stdout.write(`${text}\n`);

/** Prints tables as text. */
export const textReport: Report = {
  table(title, rows) {
    const columns = Object.keys(rows[0] ?? {});
    const widths = columns.map((column) =>
      Math.max(column.length, ...rows.map((row) => String(row[column]).length)),
    );
    const line = (cells: readonly unknown[]) =>
      cells
        .map((cell, i) => {
          const width = widths[i] ?? 0;
          return i === 0 ? String(cell).padEnd(width) : String(cell).padStart(width);
        })
        .join("  ");
    write(`\n${title}`);
    write(line(columns));
    for (const row of rows) write(line(columns.map((column) => row[column])));
  },
};

export function describeMachine(): string {
  const [cpu] = cpus();
  return `node ${process.version}, ${cpus().length} × ${cpu?.model.trim() ?? "unknown"}`;
}
