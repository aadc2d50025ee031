import { Few } from "../src/core/few.ts";

function itemsOf(few: Few<object>): object[] {
  const items: object[] = [];
  few.forEach((item) => void items.push(item));
  return items;
}

const [one, two, three] = [{ name: "one" }, { name: "two" }, { name: "three" }];

test("holds what was added, each once, in the order in which it came", () => {
  const few = new Few();
  expect(itemsOf(few)).toEqual([]);
  for (const item of [one, two, one, three, two]) few.add(item);
  expect(itemsOf(few)).toEqual([one, two, three]);
});

test("says whether what is deleted was there", () => {
  const few = new Few();
  expect(few.delete(one)).toBe(false);
  few.add(one);
  few.add(two);
  expect([few.delete(two), few.delete(two), few.delete(one), few.delete(one)]).toEqual([true, false, true, false]);
  expect(itemsOf(few)).toEqual([]);
});

test("takes what comes after the first has left, once", () => {
  const few = new Few();
  few.add(one);
  few.add(two);
  few.delete(one);
  few.add(two);
  few.add(three);
  expect(itemsOf(few)).toHaveLength(2);
  few.delete(two);
  expect(itemsOf(few)).toEqual([three]);
});

test("passes over what leaves before its turn", () => {
  const few = new Few();
  for (const item of [one, two, three]) few.add(item);
  const visited: object[] = [];
  few.forEach((item) => {
    visited.push(item);
    few.delete(two);
  });
  expect(visited).toEqual([one, three]);
});
