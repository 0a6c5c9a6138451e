/** Detached jobs: what the host is asked for, and when. */
import assert from "node:assert/strict";
import test from "node:test";
import { load as loadApp } from "../testing.mjs";
import { echo, load, ok, run, text } from "./run.mjs";

const start = await load("./guest-spawn.ts");
const job = (n) => n.toString(16).padStart(32, "0");

/** Runs a task. Detached calls get the ids 1, 2, …; the task `bad` fails. */
function once(task, answer = echo) {
  const spawned = [];
  const { handler, host } = start((call) => {
    if (!call.options.some(([key]) => key === "detached") || call.task === "bad") return answer(call);
    spawned.push(call);
    return ok(job(spawned.length));
  });
  return { ...run(handler, task), host, spawned };
}

test("it is an ordinary call with one more option", () => {
  const { result, host, spawned } = once("starts");
  assert.deepEqual(result, [job(1), job(2), job(3), job(4)]);
  assert.deepEqual(host.wishes(), ["all", "all", "all", "all"]);
  assert.deepEqual(spawned.map(({ task, payload, topic, callHash }) => [task, text(payload), topic, callHash]), [
    ["pay", '[{"order":7}]', null, null],
    ["pay", '[{"order":8}]', "t", null],
    ["pay", "[{}]", null, "h"],
    ["raw", "x", null, null],
  ]);
  const [peers, detached] = [["hash-of", "typescript"], ["detached", "true"]];
  const run = [["timeout-ms", "5000"], ["max-retries", "0"], ["scope", "job"], ["label", "l"]];
  assert.equal(
    JSON.stringify(spawned.map(({ options }) => options)),
    JSON.stringify([[peers, detached], [...run, peers, detached], [detached], [detached]]),
  );
});

test("it waits for nothing, and nothing waits for it", () => {
  const { result, host } = once("beside");
  assert.deepEqual(result, [job(1), job(2), 1]);
  assert.deepEqual(host.polls.map(({ calls }) => calls), [['job[{"i":2}]'], ['job[{"i":2}]'], ['echo[{"i":1}]']]);
  // A run that has to wait has started the jobs before.
  const waiting = once("beside", () => undefined);
  assert.equal(waiting.host.suspended, true);
  assert.deepEqual(waiting.host.polls, host.polls);
  assert.equal(once("raced").result, job(1));
});

test("it is made though nobody awaits it, and its failure is seen", () => {
  const { host, spawned, error } = once("not_awaited");
  assert.deepEqual([spawned.length, host.log, error], [1, [], undefined]);
  assert.deepEqual([once("not_awaited_bad").error.tag, once("not_awaited_bad").error.val.task], ["child", "bad"]);
  assert.match(once("in_the_result").error.val.message, /job is the call of job, which was not awaited/);
});

test("what goes wrong", () => {
  assert.deepEqual(once("caught").result, ["bad", "boom"]);
  const { error, host } = once("no_json");
  assert.match(error.val.message, /the arguments of job are not JSON: .*i is NaN/);
  assert.equal(host.polls.length, 0);
});

test("in a user's test they are noted and not run", async () => {
  const app = await loadApp(new URL("./guest-spawn.ts", import.meta.url));
  const { result, spawned } = app.run("starts");
  assert.deepEqual(result, [job(1), job(2), job(3), job(4)]);
  assert.deepEqual(spawned.slice(0, 2), [
    { id: job(1), task: "pay", topic: null, argument: { order: 7 } },
    { id: job(2), task: "pay", topic: "t", argument: { order: 8 } },
  ]);
});
