/*
 * `input` of OpenAI's responses, as windows are rendered. The items fit where OpenAI's own package
 * takes a `ResponseInputItem`, but for the model's answers: the API takes them without `id` and
 * `status`, which the type of that package wants, so a list needs `as ResponseInput` there.
 */

/** An item for OpenAI's responses. */
export type OpenaiResponsesItem =
  | { type: "message"; role: "system" | "user"; content: OpenaiResponsesInput[] }
  | OpenaiResponsesAnswer
  | { type: "function_call"; call_id: string; name: string; arguments: string }
  | { type: "function_call_output"; call_id: string; output: string }
  | {
      type: "reasoning";
      id: string;
      summary: { type: "summary_text"; text: string }[];
      encrypted_content: string;
    };

/** What a user or the system says. */
export type OpenaiResponsesInput =
  | { type: "input_text"; text: string }
  | { type: "input_image"; image_url: string; detail: "auto" }
  | { type: "input_file"; file_url: string };

/** What the model said. */
export interface OpenaiResponsesAnswer {
  type: "message";
  role: "assistant";
  content: { type: "output_text"; text: string }[];
}
