import { Code, type Route, type RouteOptions, route, type Task } from "../src/index.ts";
import { taskOf } from "./support/ask.ts";
import { failure } from "./support/failure.ts";

const asked = (content: string) => taskOf({ content });

const routes: readonly Route[] = [{ name: "numbers", when: /\d/g }, { name: "rest" }];

test.each([
  ["in the part that is looked at", `${" ".repeat(4_095)}1`, "numbers"],
  ["behind it", `${" ".repeat(4_096)}1`, undefined],
])("a pattern that fits %s", async (_where, content, name) => {
  for (let time = 0; time < 2; time++) expect((await route(asked(content), routes))?.name).toBe(name); // "g" remembers nothing
});

test("a rule needs no name of its own, and its route comes back with all that belongs to it", async () => {
  const two = [
    { name: "same", when: /never/, cost: 1 },
    { name: "same", when: () => true, cost: 2 },
  ];
  expect((await route(asked("x"), two))?.cost).toBe(2);
});

test.each<[string, RouteOptions<Route>, string | undefined]>([
  ["and nothing is said for that", { choose: () => undefined }, undefined],
  ["and something is", { choose: async () => undefined, otherwise: "rest" }, "rest"],
])("a choice that none fits, %s", async (_what, options, name) => {
  expect((await route(asked("1"), routes, options))?.name).toBe(name);
});

test("what the choice fails with is what it fails with", async () => {
  const choose = async () => Promise.reject(new Error("the model is away"));
  await expect(route(asked("x"), routes, { choose })).rejects.toThrow("the model is away");
});

const desks = [
  { name: "schedule", when: /\bmeet/g },
  { name: "long", when: ({ content }: Task) => content.length > 20 },
  { name: "rest" },
];

test.each([
  ["we meet", undefined, "schedule"],
  ["we meet, with many words more", undefined, "schedule"],
  ["a question of many words", undefined, "long"],
  ["hi", "rest", "rest"],
  ["hi", undefined, undefined],
])("%j goes by the first rule that it fits, else to %j", async (content, otherwise, name) => {
  expect((await route(asked(content), desks, otherwise === undefined ? {} : { otherwise }))?.name).toBe(name);
});

test("may be chosen by a function, such as a model", async () => {
  expect((await route(asked("we meet"), desks, { choose: async () => "rest" }))?.name).toBe("rest");
  const error = await failure(route(asked("hi"), desks, { choose: () => "nowhere" }));
  expect([error.code, error.rawMessage]).toEqual([
    Code.Internal,
    'there is no route "nowhere"; the routes are schedule, long, rest',
  ]);
});
