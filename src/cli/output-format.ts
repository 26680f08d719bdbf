import type { JsonValue } from "@bufbuild/protobuf";
import { Option } from "commander";
import type { DataOutput } from "./host.ts";

/** Machine-readable forms: one document, or one line for each item. */
export type JsonFormat = "json" | "jsonl";

/** Option `-o` with a form for people beside those for programs. */
export function outputOption(readable: "text" | "table"): Option {
  return new Option(
    "-o, --output <format>",
    `what to print (default ${readable} on a terminal, jsonl elsewhere)`,
  ).choices([readable, "json", "jsonl"]);
}

/** The form asked for, or the one that suits where the output goes. */
export function outputFormat<Readable extends "text" | "table">(
  given: string | undefined,
  readable: Readable,
  output: DataOutput,
): Readable | JsonFormat {
  if (given === "json" || given === "jsonl") return given;
  if (given === readable) return readable;
  return output.isTerminal ? readable : "jsonl";
}

/** Writes items as JSON lines, or as the elements of one array. */
export interface JsonWriter {
  write(value: JsonValue): Promise<void>;
  /** Closes the array. */
  end(): void;
}

export function jsonWriter(output: DataOutput, format: JsonFormat): JsonWriter {
  if (format === "jsonl") {
    return {
      write: (value) => {
        output.write(`${JSON.stringify(value)}\n`);
        return output.drained();
      },
      end() {},
    };
  }
  let separator = "[\n";
  return {
    write: (value) => {
      output.write(separator + JSON.stringify(value, undefined, 2));
      separator = ",\n";
      return output.drained();
    },
    end: () => output.write(separator === "[\n" ? "[]\n" : "\n]\n"),
  };
}

/** Writes one value: spread over lines as `json`, on one line as `jsonl`. */
export function writeJson(output: DataOutput, format: JsonFormat, value: JsonValue): void {
  output.write(`${JSON.stringify(value, undefined, format === "json" ? 2 : undefined)}\n`);
}
