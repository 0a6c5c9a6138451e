/** What the host is asked for, and when it is to return: which wish, until when, and for which calls. */
import assert from "node:assert/strict";
import test from "node:test";
import { echo, load, ok, run, text } from "./run.mjs";

const start = await load("./guest-waits.ts");

function once(task, { answer = echo, payload } = {}) {
  const { handler, host } = start(answer);
  const { result, error } = run(handler, task, payload);
  return { result, error, host, asked: host.batches(), wishes: host.wishes(), untils: host.untils(), took: host.nanoseconds / 1e6 };
}

/** Task; its result, the wish and the arguments of each poll, and the milliseconds that it took. */
for (const [task, result, wishes, asked, took] of [
  ["one", 1, ["all"], [[1]], 0],
  ["one_beside_a_timer", [1, "too late"], ["all", "all"], [[1], [1]], 50],
  ["all", [1, 2], ["all"], [[1, 2]], 0],
  ["all_of_all", [1, [2, 3], 4], ["all"], [[1, 2, 3, 4]], 0],
  ["settled", ["rejected", "fulfilled"], ["some 2"], [[0, 2]], 90],
  ["race", 2, ["some 1"], [[1, 2]], 10],
  ["any", 2, ["some 1", "some 1"], [[0, 2, 3], [2, 3]], 10],
  ["some", [1, 2], ["some 2"], [[1, 2, 3]], 20],
  // Two are there at once, and it asked for one.
  ["some_beside_others", [[0], 3], ["progress"], [[1, 2, 3]], 0],
  ["race_by_hand", 2, ["some 1"], [[1, 2]], 10],
  ["all_by_hand", [1, 2, 3], ["progress"], [[1, 2, 3]], 0],
  ["mapped", [2, 3], ["progress"], [[1, 2]], 0],
  ["chains", [2, 4], ["progress", "progress", "all"], [[1, 3], [1, 4], [2]], 4000],
  ["background", [2, 3, 1], ["progress", "progress", "all"], [[1, 2], [1, 3], [1]], 60_000],
  ["asks_for_the_rest", [0, 1, 12, 3], ["progress", "progress", "all"], [[0, 1, 2, 3], [1, 2, 3], [12]], 70],
]) {
  test(`${task}: ${wishes.join(", ")}`, () => {
    const seen = once(task);
    assert.deepEqual(seen.error, undefined);
    assert.deepEqual([seen.result, seen.wishes, seen.asked], [result, wishes, asked]);
    assert.equal(seen.took, took);
  });
}

test("the first failure of all is the end", () => {
  const { error, wishes, took } = once("fails_fast");
  assert.equal(error.tag, "child");
  assert.deepEqual([wishes, took], [["all"], 0]);
});

test("a time limit strikes, or does not", () => {
  for (const [task, result, untils, took] of [
    ["too_late", "too late", [100], 100],
    ["in_time", 1, [500], 100],
    // The call is there, so it is first.
    ["exactly_in_time", 1, [100], 100],
    ["cleared", [], [100, null], 200],
    ["clock", 101, [101], 101],
  ]) {
    const seen = once(task);
    assert.deepEqual([seen.error, seen.result, seen.untils, seen.took], [undefined, result, untils, took], task);
  }
});

test("what lost a race is not asked for any more, unless somebody awaits it again", () => {
  for (const [task, result, asked, untils] of [
    ["late_and_again", ["too late", 1], [[1], [1]], [100, null]],
    ["lost_work", ["too late", 3], [[1], [3]], [100, null]],
    ["lost_before_its_await", 3, [[1, 2], [3]], [100, null]],
    ["lost_then", 3, [[1], [3]], [100, null]],
    ["lost_by_hand", ["too late", 3], [[1], [3]], [100, null]],
    ["lost_and_wanted_again", [1, 2], [[1], [1, 2]], [100, null]],
    // The handler needs it in a way that can't be seen.
    ["given_up_but_needed", "1", [[1], [1]], [100, null]],
  ]) {
    const seen = once(task);
    assert.deepEqual([seen.error, seen.result, seen.asked, seen.untils], [undefined, result, asked, untils], task);
    assert.deepEqual(seen.host.log, [], task);
  }
});

test("a timer for which nobody waits any more is no reason to return", () => {
  const { result, untils } = once("stale_timers");
  assert.deepEqual([result, untils], [3, [60_000, 60_010, null]]);
});

test("a signal ends the wait for calls", () => {
  const { result, asked, untils } = once("signal");
  assert.deepEqual(result, [1, "TimeoutError", "TimeoutError"]);
  assert.deepEqual([asked, untils], [[[1], [2]], [100, 100]]);
  assert.deepEqual(once("signal_in_time").untils, [60_000, null]);
});

test("a loop of timers lets calls go on", () => {
  assert.equal(once("looped").result, true);
});

test("the same outcomes make the same polls", () => {
  for (const task of ["chains", "background", "too_late", "lost_work", "signal", "asks_for_the_rest"]) {
    assert.deepEqual(once(task).host.polls, once(task).host.polls);
  }
});

test("a promise is a call of brrr.promise with its name", () => {
  const seen = [];
  const answer = (call) => (seen.push(call), ok({ ok: true }));
  const { result, wishes } = once("asks", { answer });
  assert.deepEqual([result, wishes], [{ ok: true }, ["all"]]);
  const [{ task, payload, topic, callHash, options }] = seen;
  assert.deepEqual([task, text(payload), topic, callHash, options.length], ["brrr.promise", "approval – é", null, null, 0]);
  assert.equal(once("asks", { answer: () => undefined, payload: '[{"limit":50}]' }).result, "too late");
  const failure = { kind: "rejected", task: "brrr.promise", message: "no", attempts: 1, chain: [], details: null };
  assert.deepEqual(once("asks_caught", { answer: () => ({ tag: "err", val: failure }) }).result, ["rejected", "no"]);
});
