import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EventSchema, SizeClass, TokenAccuracy } from "@sessiond/contract";
import { expect, test } from "vitest";
import { countEvents, mediaOf } from "../../../src/domain/tokens/media.ts";
import { characterCounter } from "../../support/domain.ts";

const { EXACT, ESTIMATED } = TokenAccuracy;

type Payload = NonNullable<MessageInitShape<typeof EventSchema>["payload"]>;

function event(payload: Payload) {
  return create(EventSchema, { payload });
}

function image(sizeClass: SizeClass, uri = "https://example.com/cat.png") {
  return { content: { case: "image", value: { uri, sizeClass } } } as const;
}

function file(sizeClass: SizeClass, uri = "s3://docs/report.pdf") {
  return { content: { case: "file", value: { uri, name: "report", sizeClass } } } as const;
}

async function counts(payloads: readonly Payload[], factor = 1) {
  const encoding = "o200k_base";
  const found = await countEvents(characterCounter, payloads.map(event), { encoding, factor });
  return found.map((count) => count && [count.count, count.accuracy]);
}

function withParts(...parts: (ReturnType<typeof image> | ReturnType<typeof file>)[]): Payload {
  return { case: "message", value: { text: "1234", parts } };
}

test("each event is counted by its text, in order; one without anything to count has no count", async () => {
  expect(
    await counts([
      { case: "message", value: { text: "1234" } },
      { case: "sessionStarted", value: { goal: "a goal" } },
      { case: "toolCall", value: { callId: "c", name: "find", arguments: "{}" } },
      { case: "thinking", value: { text: "" } },
    ]),
  ).toEqual([[4, EXACT], undefined, ["find\n{}".length, EXACT], undefined]);
});

test("a larger class never counts less, and an image or file makes the count an estimate", async () => {
  const { SMALL, MEDIUM, LARGE } = SizeClass;
  for (const part of [image, file]) {
    const sizes = await counts([SMALL, MEDIUM, LARGE].map((size) => withParts(part(size))));
    const [small, medium, large] = sizes.map((size) => Number(size?.[0]));
    expect(small).toBeGreaterThan(4 + 250);
    expect(medium).toBeGreaterThan(Number(small));
    expect(large).toBeGreaterThan(Number(medium));
    expect(sizes.every((size) => size?.[1] === ESTIMATED)).toBe(true);
  }
});

test("a class of the future counts as the largest", async () => {
  const future = 99 as SizeClass;
  for (const part of [image, file]) {
    const [unknown, large] = await counts(
      [future, SizeClass.LARGE].map((size) => withParts(part(size))),
    );
    expect(unknown).toEqual(large);
  }
});

test("no class means medium for an image, and the reference alone for a file", async () => {
  const { UNSPECIFIED, MEDIUM, SMALL } = SizeClass;
  const [none, medium] = await counts([UNSPECIFIED, MEDIUM].map((size) => withParts(image(size))));
  expect(none).toEqual(medium);
  const [alone, small] = await counts([UNSPECIFIED, SMALL].map((size) => withParts(file(size))));
  expect(alone?.[0]).toBeLessThan(small?.[0] ?? 0);
  expect(alone?.[0]).toBeGreaterThan(0);
});

test("a reference whose text is longer than its class counts as that text", async () => {
  const uri = `https://example.com/${"x".repeat(7_000)}`;
  const [short, long] = await counts([
    withParts(image(SizeClass.SMALL)),
    withParts(image(SizeClass.SMALL, uri)),
  ]);
  expect(long?.[0]).toBeGreaterThan(7_000);
  expect(short?.[0]).toBeLessThan(1_000);
});

test("all parts of an event add up, also in a tool result", async () => {
  const parts = [image(SizeClass.SMALL), file(SizeClass.SMALL), image(SizeClass.LARGE)];
  const [none, ...each] = await counts([
    { case: "toolResult", value: { callId: "c", content: "1234" } },
    ...parts.map((part) => withParts(part)),
  ]);
  const [all] = await counts([
    { case: "toolResult", value: { callId: "c", content: "1234", parts } },
  ]);
  const sum = each.reduce((total, count) => total + Number(count?.[0]) - 4, Number(none?.[0]));
  expect(all).toEqual([sum, ESTIMATED]);
});

test("a model's factor multiplies the texts and not the classes", async () => {
  const payloads = [
    { case: "message", value: { text: "1234" } } as const,
    withParts(image(SizeClass.SMALL)),
  ];
  const [plain, media] = await counts(payloads);
  const [plainScaled, mediaScaled] = await counts(payloads, 1.5);
  expect(plainScaled).toEqual([6, ESTIMATED]);
  expect(Number(mediaScaled?.[0]) - Number(media?.[0])).toBe(6 - Number(plain?.[0]));
});

test("an image alone is something to count, and media are found in order", async () => {
  const payload: Payload = {
    case: "message",
    value: { parts: [file(SizeClass.SMALL), image(SizeClass.SMALL)] },
  };
  expect((await counts([payload]))[0]?.[0]).toBeGreaterThan(1_500);
  expect(mediaOf(event(payload)).map((media) => media.case)).toEqual(["file", "image"]);
});
