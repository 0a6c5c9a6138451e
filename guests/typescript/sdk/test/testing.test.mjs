/** What users test their handlers with. */
import assert from "node:assert/strict";
import test from "node:test";
import { after, load } from "../testing.mjs";

const app = await load(new URL("./guest-schema.ts", import.meta.url));

test("children and promises are given, the clock and what was logged are seen", () => {
  const { result, lines, took, polls } = app.run("order", { item: "pear" }, {
    children: { price: ({ item }) => after("2s", item.length) },
    promises: { approval: () => after("3d", true) },
    now: "2030-06-01T00:00:00Z",
  });
  assert.deepEqual(result, { cents: 4, approved: true, at: "2030-06-04T00:00:02.000Z" });
  assert.deepEqual(lines, [{ level: "info", message: "pear costs 4", fields: {} }]);
  assert.deepEqual([took, polls.length], [3 * 86_400_000 + 2000, 2]);
});

test("a limit strikes in no time, and the error has its details", () => {
  const late = () => app.run("order", { item: "pear" }, { children: { price: () => after("6s", 1) } });
  assert.throws(late, { name: "TaskFailed", kind: "permanent", message: "no price in time", details: { item: "pear" } });
});

test("what fails", () => {
  const fail = () => {
    throw new Error("sold out");
  };
  assert.throws(() => app.run("order", { item: "pear" }, { children: { price: fail } }), { kind: "error", task: "price", message: "sold out" });
  assert.throws(() => app.run("order", { item: "pear" }, { children: { price: 1 }, promises: { approval: fail } }), { kind: "rejected" });
});

test("calls of the module's own tasks are run", () => {
  assert.equal(app.run("calls").result, 11);
});

test("what a test leaves out is said", () => {
  assert.throws(() => app.run("fetches"), /a test sends no requests: put fetch into a leaf task/);
  assert.throws(() => app.run("order", { item: "pear" }), /the handler calls price, which the module does not have/);
  assert.throws(() => app.run("order", { item: "pear" }, { children: { price: 1 } }), /waits for what never comes: the promise approval/);
  assert.throws(() => after(5, 1), /after takes a text like "2s"/);
});
