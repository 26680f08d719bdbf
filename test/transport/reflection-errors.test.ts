import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { expect, it } from "vitest";
import { APPEND_PATH, createToy, openToy } from "./toy.ts";

// Messages are read and written by their field numbers, as one does who has no proto files.
const REFLECTION_PATH = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const requestField = { fileContainingSymbol: 4 };
const responseField = { fileDescriptorResponse: 4, fileDescriptorProto: 1 };
const appendField = { sessionId: 2 };

const same = (bytes: Buffer) => bytes;

/** A message with one text in it. */
function messageOf(field: number, text: string): Buffer {
  return Buffer.from(new BinaryWriter().tag(field, WireType.LengthDelimited).string(text).finish());
}

/** Values of a field that holds messages or bytes. */
function valuesOf(message: Uint8Array, field: number): Uint8Array[] {
  const reader = new BinaryReader(message);
  const values: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === field) values.push(reader.bytes());
    else reader.skip(wireType, number);
  }
  return values;
}

/** The files that declare a name, and their imports. */
async function filesWith(client: Client, name: string): Promise<FileDescriptorProto[]> {
  const call = client.makeBidiStreamRequest(REFLECTION_PATH, same, same);
  call.end(messageOf(requestField.fileContainingSymbol, name));
  const [answer = Buffer.alloc(0)] = await call.toArray();
  return valuesOf(answer, responseField.fileDescriptorResponse)
    .flatMap((files) => valuesOf(files, responseField.fileDescriptorProto))
    .map((file) => fromBinary(FileDescriptorProtoSchema, file));
}

/** The `google.rpc.Status` of an append to a session. */
async function refusedAppend(client: Client, sessionId: string): Promise<Buffer> {
  const request = messageOf(appendField.sessionId, sessionId);
  const error = await new Promise<ServiceError | null>((resolve) => {
    client.makeUnaryRequest(APPEND_PATH, same, same, request, resolve);
  });
  const [status] = error?.metadata.get("grpc-status-details-bin") ?? [];
  return Buffer.from(status ?? "");
}

it("a client without proto files reads the details of an error", async () => {
  await using toy = await openToy(createToy());
  const client = new Client(`127.0.0.1:${toy.port}`, credentials.createInsecure());
  try {
    const names = ["google.rpc.Status", "google.rpc.ErrorInfo"];
    const files = (await Promise.all(names.map((name) => filesWith(client, name)))).flat();
    const imported = (name: string) => files.find((file) => file.name === name);
    const registry = createFileRegistry(...files.map((file) => createFileRegistry(file, imported)));
    const schema = registry.getMessage("google.rpc.Status");
    if (schema === undefined) throw new Error("google.rpc.Status is not among the files");
    const status = fromBinary(schema, await refusedAppend(client, "conflict"));
    expect(toJson(schema, status, { registry })).toMatchObject({
      details: [
        {
          "@type": "type.googleapis.com/google.rpc.ErrorInfo",
          reason: "REVISION_CONFLICT",
          metadata: { expected: "41", actual: "43" },
        },
      ],
    });
  } finally {
    client.close();
  }
});
