/** Random handlers that wait in all ways at once: each comes to its end, with a value that it may have, and so does its replay. */
import assert from "node:assert/strict";
import test from "node:test";
import { echo, load, run } from "./run.mjs";

const start = await load("./guest-random.ts");
const SEED = Number(process.env.BRRR_SEED ?? Date.now() % 1e9);

/** Numbers from 0 to 1, the same ones for a seed: xorshift. */
function random(seed) {
  let x = (seed ^ 0x9e3779b9) >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x >>>= 0;
    x ^= x >>> 17;
    x ^= x << 5;
    x >>>= 0;
    return x / 2 ** 32;
  };
}

const ENDS = ["call", "call", "call", "fails", "sleep", "signal"];
const GROUPS = ["all", "settled", "race", "any", "some", "by_hand", "steps", "background", "limit", "then"];
const TIMES = [0, 0, 10, 100, 3000, 60_000];

function program(next, depth, count = { i: 0 }) {
  const pick = (list) => list[Math.floor(next() * list.length)];
  const how = depth === 0 || next() < 0.3 ? pick(ENDS) : pick(GROUPS);
  const parts = { limit: 1, then: 2 }[how] ?? 1 + Math.floor(next() * 4);
  const of = GROUPS.includes(how) ? Array.from({ length: parts }, () => program(next, depth - 1, count)) : [];
  return { how, i: count.i++, ms: pick(TIMES), of };
}

/** May the value come of such a wait? */
function possible({ how, i, of }, value) {
  const each = () => Array.isArray(value) && value.length === of.length && of.every((part, k) => possible(part, value[k]));
  switch (how) {
    case "call":
      return value === i;
    case "fails":
      return value === "failed";
    case "sleep":
      return value === "late";
    case "signal":
      return value === i || value === "late";
    case "some":
      return Array.isArray(value) && value.length === 1 && value[0] in of;
    case "limit":
      return value === "late" || possible(of[0], value);
    case "race":
    case "any":
    case "by_hand":
      return of.some((part) => possible(part, value));
    default:
      return each();
  }
}

test(`300 random handlers (BRRR_SEED=${SEED})`, () => {
  for (let k = 0; k < 300; k++) {
    const next = random(SEED + k);
    const what = program(next, 4);
    const payload = JSON.stringify([what]);
    const shown = `BRRR_SEED=${SEED} number ${k}: ${payload}`;
    const { handler, host } = start(echo);
    const { result, error } = run(handler, "waits", payload);
    assert.equal(error, undefined, `${error?.val.message}\n${shown}`);
    assert.ok(possible(what, result), `${JSON.stringify(result)}\n${shown}`);
    // Nothing is found about what lost a race.
    assert.deepEqual(host.log, [], shown);
    const again = start(echo);
    assert.deepEqual(run(again.handler, "waits", payload).result, result, shown);
    assert.deepEqual(again.host.polls, host.polls, shown);
  }
});
