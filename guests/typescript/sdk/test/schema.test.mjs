/** Validators of arguments, and the schemas that a component tells of. */
import assert from "node:assert/strict";
import test from "node:test";
import { echo, load, run } from "./run.mjs";

const start = await load("./guest-schema.ts");
const once = (task, payload) => run(start(echo).handler, task, JSON.stringify(payload));

test("a handler gets what its validator makes of the argument", () => {
  assert.deepEqual(once("doubled", [{ n: "4" }]).result, { n: 8 });
  assert.equal(once("tripled", [{ n: "4" }]).result, 12);
});

test("an argument that is not valid is a permanent error that names each place", () => {
  for (const task of ["doubled", "tripled"]) {
    assert.deepEqual(once(task, [{ n: "four" }]).error, {
      tag: "permanent",
      val: { message: "the arguments are not valid: n: no number; no use", details: null },
    });
  }
});

test("the schemas of a validator are described, where its library makes them", () => {
  const { tasks } = start(echo).handler.describe();
  const options = (task) => JSON.parse(JSON.stringify(tasks.find(({ name }) => name === task).options));
  assert.deepEqual(options("doubled"), [
    ["input-schema", '{"$comment":"draft-2020-12","properties":{"n":{"type":"string"}}}'],
    ["output-schema", '{"properties":{"n":{"type":"number"}}}'],
  ]);
  assert.deepEqual(options("silent"), []);
});
