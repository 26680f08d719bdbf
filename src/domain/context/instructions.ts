import { toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Session, Tool } from "@sessiond/contract";
import type { TokenCounter } from "../tokens/counter.ts";

/**
 * The text every window of a session begins with: system instructions, then goal and context under
 * headings of their own. Empty when the session has none of them.
 *
 * A context that is a text stands as it is, a structure as JSON; a reference to a file stays one.
 */
export function instructionsText({ systemInstructions, goal, context }: Session): string {
  const contextText = context === undefined ? "" : textOfValue(context);
  return [
    systemInstructions,
    goal === "" ? "" : `# Goal\n\n${goal}`,
    contextText === "" ? "" : `# Context\n\n${contextText}`,
  ]
    .filter((part) => part !== "")
    .join("\n\n");
}

/** A tool as providers read it: JSON of its name, description and parameters, where it has them. */
export function toolText({ name, description, inputSchema }: Tool): string {
  return JSON.stringify({
    name,
    ...(description !== "" && { description }),
    ...(inputSchema !== undefined && { parameters: inputSchema }),
  });
}

/**
 * Counts what comes before all events: the instructions, and the tools that travel beside them.
 *
 * The counts are those of the encoding; a model's factor is not in them. Errors: as
 * `TokenCounter.count`.
 */
export async function countInstructions(
  tokens: TokenCounter,
  session: Session,
  encoding: string,
): Promise<{ instructionTokens: number; toolTokens: number }> {
  const texts = [instructionsText(session), ...session.tools.map(toolText)];
  const [instructions, ...tools] = await tokens.count(texts, encoding);
  return {
    instructionTokens: instructions?.count ?? 0,
    toolTokens: tools.reduce((sum, { count }) => sum + count, 0),
  };
}

function textOfValue(value: Value): string {
  switch (value.kind.case) {
    case undefined:
    case "nullValue":
      return "";
    case "stringValue":
      return value.kind.value;
    default:
      return JSON.stringify(toJson(ValueSchema, value));
  }
}
