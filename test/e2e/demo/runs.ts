import { existsSync, readFileSync } from "node:fs";

/** A message of an agent run, in the form of OpenAI's chat API. */
export interface ChatMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string | null;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly function: { readonly name: string; readonly arguments: string };
  }[];
  readonly tool_call_id?: string;
  readonly name?: string;
}

export interface Run {
  readonly sessionId: string;
  readonly messages: readonly ChatMessage[];
}

/** Where a hundred recorded runs of an airline agent lie beside a checkout that has them. */
const recordedRuns = new URL("../../../../shared/data/tau-bench-airline.jsonl", import.meta.url);

/** The recorded runs if they are there, else a few short ones of our own. */
export function loadRuns(): { runs: readonly Run[]; source: string } {
  if (!existsSync(recordedRuns)) return { runs: ownRuns(), source: "a small set of our own" };
  const lines = readFileSync(recordedRuns, "utf8").split("\n").filter(Boolean);
  const runs = lines.map((line, index) => ({
    sessionId: `run-${String(index + 1).padStart(3, "0")}`,
    messages: (JSON.parse(line) as { messages: ChatMessage[] }).messages,
  }));
  return { runs, source: "tau-bench airline" };
}

/** Twenty runs of a travel agent, each with two tools, a failure and Unicode in it. */
function ownRuns(): readonly Run[] {
  const cities = ["Kyoto", "São Paulo", "Zürich", "Reykjavík", "東京"];
  return Array.from({ length: 20 }, (_, index) => {
    const city = cities[index % cities.length] ?? "Kyoto";
    const call = (step: number, name: string, argument: object) => ({
      id: `call_${index}_${step}`,
      function: { name, arguments: JSON.stringify(argument) },
    });
    const messages: ChatMessage[] = [
      { role: "system", content: "You plan journeys. Ask before you book anything." },
      { role: "user", content: `I want to visit ${city} next month, for ${3 + index} days.` },
      {
        role: "assistant",
        content: "Let me look at flights and the weather.",
        tool_calls: [
          call(1, "search_flights", { to: city, days: 3 + index }),
          call(2, "weather", { city }),
        ],
      },
      {
        role: "tool",
        tool_call_id: `call_${index}_1`,
        name: "search_flights",
        content: JSON.stringify({ flights: [{ number: `SD ${100 + index}`, price: 420 + index }] }),
      },
      {
        role: "tool",
        tool_call_id: `call_${index}_2`,
        name: "weather",
        content: index % 4 === 0 ? "Error: no answer in 5 s" : "18 °C, light rain 🌦️",
      },
      {
        role: "assistant",
        content: `Flight SD ${100 + index} costs ${420 + index} €. Shall I book?`,
      },
      { role: "user", content: index % 3 === 0 ? "Too dear, thank you." : "Yes, please." },
      { role: "assistant", content: "Done. <|endoftext|> is only text here." },
    ];
    return { sessionId: `run-${String(index + 1).padStart(3, "0")}`, messages };
  });
}
