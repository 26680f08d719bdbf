import { create, fromJson, isFieldSet, type JsonObject } from "@bufbuild/protobuf";
import { CreateSessionRequestSchema, type Session, SessionSchema } from "@sessiond/contract";
import { InvalidFieldError } from "./errors.ts";

/**
 * Fields that are each session's own: its names, which no two can share, and whether it is kept in
 * memory only, which LMDB could do for none.
 */
const own: readonly string[] = ["namespace", "session_id", "agent_id", "ephemeral"];

/**
 * What new sessions of an agent have unless they say otherwise: a Session in the contract's JSON form,
 * with the fields that a caller may set, but its names and `ephemeral`.
 *
 * Errors: a text that says what is wrong and where.
 */
export async function parseAgent(json: JsonObject): Promise<Session | string> {
  // Only here: a start without agents does not pay for them.
  const { validate } = await import("./domain/validation/validate.ts");
  const { compileRules } = await import("./domain/protection/rules.ts");
  let session: Session;
  try {
    session = fromJson(SessionSchema, json);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    const time = /google\.protobuf\.Duration from JSON: (.+)/.exec(text)?.[1];
    if (time !== undefined) return `${time} is no time; write it in seconds, such as "180s"`;
    return text.replace(/^cannot decode (message|field) sessiond\.v1\.(\S+) from JSON: /, "$2 ");
  }
  const field = SessionSchema.fields.find(
    (field) => own.includes(field.name) && isFieldSet(session, field),
  );
  if (field !== undefined) return `${field.name} cannot be a default; leave it out`;
  try {
    validate(CreateSessionRequestSchema, create(CreateSessionRequestSchema, { session }));
    const { protectionRules = [] } = session.contextPolicy ?? {};
    compileRules(protectionRules, "session.context_policy.protection_rules");
  } catch (error) {
    if (!(error instanceof InvalidFieldError)) throw error;
    return error.message.replace(/^session\./, "");
  }
  return session;
}
