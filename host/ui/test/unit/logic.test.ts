import { describe, expect, test } from "vitest";
import type { Branch } from "../../src/api/types.ts";
import { fields, initial, json } from "../../src/logic/form.ts";
import { layout, NODE } from "../../src/logic/graph.ts";
import { laidOut } from "../../src/logic/json.ts";
import { begin, pieces, size } from "../../src/logic/text.ts";
import { shares } from "../../src/logic/shares.ts";
import { relative, span, ticks } from "../../src/logic/time.ts";
import { type Folds, failureChain, groupsAbove, jobOf, pathTo, rows } from "../../src/logic/tree.ts";
import { findings } from "../../src/views/overview.ts";

const NONE: Folds = { opened: new Set(), closed: new Set() };

function branch(call: string, task: string, children: Branch[] = [], more: Partial<Branch> = {}): Branch {
  return { call, task, state: "completed", attempt: 1, asked: null, ended: null, duration_ms: null, reused: false, children, ...more };
}

describe("texts of others", () => {
  test("what can't be seen is made visible", () => {
    expect(pieces("a\u001b[31m\u202eb\u200b")).toEqual([
      { text: "a" },
      { text: "␛", code: "U+001B" },
      { text: "[31m" },
      { text: "U+202E", code: "U+202E" },
      { text: "b" },
      { text: "U+200B", code: "U+200B" },
    ]);
    expect(pieces("ü 日本 🦀\n\t<b>")).toEqual([{ text: "ü 日本 🦀\n\t<b>" }]);
    expect(pieces("\ud83d x\u{e0041}")).toEqual([{ text: "U+D83D", code: "U+D83D" }, { text: " x" }, { text: "U+E0041", code: "U+E0041" }]);
  });
  test("a text is not cut within a character", () => {
    expect(begin("a🦀b", 2)).toBe("a");
    expect(begin("a🦀b", 3)).toBe("a🦀");
    expect([size(999), size(1_234), size(5_000_000)]).toEqual(["999 B", "1.2 kB", "5.0 MB"]);
  });
  test("JSON is laid out without a change of its tokens", () => {
    const text = '{"b":12345678901234567890.50,"a":[1,2],"long":["aaaaaaaaaaaaaaaaaaaaaaaaaaaaa","bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb","\\"}"]}';
    const shown = laidOut(text)?.map((token) => token.text).join("") ?? "";
    expect(shown).toContain('"b": 12345678901234567890.50,\n');
    expect(shown).toContain('"a": [1, 2],\n');
    expect(shown.replaceAll(/\n\s*/g, "").replaceAll(/([:,]) /g, "$1")).toBe(text);
    expect(laidOut("{} {}")).toBeUndefined();
    expect(laidOut("NaN")).toBeUndefined();
  });
});

describe("times", () => {
  test("spans have two units at most", () => {
    expect([0, 340, 2_400, 61_000, 3_600_000, 90_061_000].map(span)).toEqual(["0 ms", "340 ms", "2.4 s", "1 min 1 s", "1 h", "1 d 1 h"]);
    expect([relative(0, 300_000), relative(7_200_000, 0), relative(0, 100)]).toEqual(["5 min ago", "in 2 h", "now"]);
  });
  test("the lines of a scale are at round values and few", () => {
    for (const total of [1, 7, 130, 9_999, 61_000, 1e7, 1e10]) expect(ticks(total).length).toBeLessThanOrEqual(7);
    expect(ticks(1_000)).toEqual([0, 200, 400, 600, 800, 1_000]);
  });
});

describe("the calls of a job", () => {
  const wide = (n: number): Branch =>
    branch("top", "import", [branch("one", "check"), ...Array.from({ length: n }, (_, index) => branch(`r${index}`, "row", [], index === 3 ? { state: "failed" } : {}))]);

  test("many calls of a task are one row, and those that failed stay in sight", () => {
    const job = jobOf(wide(1_000));
    const folded = rows(job, NONE);
    expect(folded.map((row) => (row.kind === "group" ? `${row.task}*${row.calls.length}` : row.call.hash))).toEqual(["top", "one", "row*1000", "r3"]);
    expect(rows(job, { ...NONE, opened: new Set(["top/row"]) })).toHaveLength(1_003);
    expect(rows(job, { ...NONE, closed: new Set(["top"]) })).toHaveLength(1);
    expect(groupsAbove(job.calls.get("r7")!)).toEqual(["top/row"]);
  });
  test("a call that two calls ask for is shown once with its children", () => {
    const shared = branch("s", "shared", [branch("leaf", "leaf")]);
    const again: Branch = { call: "s", task: "shared", state: "completed", see_above: true };
    const job = jobOf(branch("top", "t", [branch("a", "a", [shared]), branch("b", "b", [again])]));
    expect(job.calls.get("s")?.parents.map((call) => call.hash).toSorted()).toEqual(["a", "b"]);
    const all = rows(job, NONE);
    expect(all.map((row) => row.kind === "call" && row.call.hash)).toEqual(["top", "a", "s", "leaf", "b", "s"]);
    const { boxes, edges } = layout(all);
    expect([boxes.length, edges.length, edges.filter((edge) => edge.isExtra).length]).toEqual([5, 5, 1]);
    expect(pathTo(job.calls.get("leaf")!).map((call) => call.hash)[0]).toBe("top");
  });
  test("the chain ends at the cause", () => {
    const failure = (message: string) => ({ kind: "error", task: "t", message, attempts: 1, chain: [] });
    const cause = branch("c", "bank", [], { state: "failed", failure: failure("expired") });
    const other = branch("x", "other", [], { state: "failed", failure: failure("something else") });
    const job = jobOf(branch("top", "order", [other, branch("b", "charge", [cause], { state: "failed", failure: failure("expired") })], { state: "failed", failure: failure("expired") }));
    expect(failureChain(job.top).map((call) => call.hash)).toEqual(["top", "b", "c"]);
  });
  test("boxes of one column do not overlap", () => {
    const { boxes } = layout(rows(jobOf(wide(30)), { ...NONE, opened: new Set(["top/row"]) }));
    for (const x of new Set(boxes.map((box) => box.x))) {
      const tops = boxes.flatMap((box) => (box.x === x ? [box.y] : [])).toSorted((a, b) => a - b);
      for (const [index, top] of tops.entries()) expect(top - (tops[index - 1] ?? -Infinity)).toBeGreaterThanOrEqual(NODE.height);
    }
  });
  test("10,000 calls are few rows", () => {
    const batches = Array.from({ length: 10 }, (_, batch) => branch(`b${batch}`, "batch", Array.from({ length: 999 }, (_row, row) => branch(`${batch}.${row}`, "row"))));
    const job = jobOf(branch("top", "import", batches));
    expect(job.calls.size).toBe(10_001 - 10 + 10);
    expect(rows(job, NONE)).toHaveLength(2);
  });
});

describe("forms", () => {
  const schema = {
    type: "object",
    properties: {
      ok: { type: "boolean" },
      n: { type: "integer", minimum: 1, default: 3 },
      by: { type: "string", minLength: 1 },
      kind: { enum: ["a", 1] },
      more: { type: "array" },
    },
    required: ["ok", "by"],
  };
  test("the value is what the fields say", () => {
    const all = fields(schema) ?? [];
    expect(all.map(({ kind }) => kind)).toEqual(["boolean", "text", "integer", "choice", "json"]);
    expect(all.map(initial)).toEqual(["false", "", "3", "", ""]);
    expect(json(all, { ok: "true", n: "12345678901234567890", by: 'a"b', kind: "1", more: "[1]" })).toEqual({
      json: '{"ok":true,"by":"a\\"b","n":12345678901234567890,"kind":1,"more":[1]}',
    });
    expect(json(all, { n: "1.5", more: "[" })).toEqual({ errors: { n: "This is no whole number.", by: "This is needed.", more: "This is no JSON." } });
    expect(json(all, { n: "0", by: "x" })).toEqual({ errors: { n: "At least 1." } });
  });
  test("what is no object has no form", () => {
    expect(fields({ type: "string" })).toBeUndefined();
    expect(fields(null)).toBeUndefined();
  });
});

test("the first screen says what is not all right", () => {
  const worker = { host: "h", pid: 1, running: 0, seen: "", seen_ms_ago: 30_000, slots: 1, started: "", stopping: false, version: "1", worker: "w", accepts_code: false, components: [], follows: false };
  const topic = { topic: "t", depth: 3, tasks: null, workers: [] };
  const job = { job: "j", state: "failed", created: new Date(1_000).toISOString(), call: "c", topic: "t" };
  const seen = { failed: [job], topics: [topic, { ...topic, topic: "u", workers: [worker] }], deadLetters: [], promises: { promises: [], cut: false }, schedules: [] };
  const found = findings(seen, 2_000);
  expect([found.failed.length, found.unattended.map((one) => one.topic), found.silent.length]).toEqual([1, ["t"], 1]);
  // What has failed long ago is no news.
  expect(findings(seen, 1_000 + 90_000_000).failed).toEqual([]);
});

test("a revision takes what newer ones leave, and the oldest one the rest", () => {
  expect(shares([20, 100])).toEqual([20, 80]);
  expect(shares([100, 20, 100])).toEqual([100, 0, 0]);
  expect(shares([10, 30, 0])).toEqual([10, 20, 70]);
  expect(shares([0])).toEqual([100]);
  expect(shares([])).toEqual([]);
});
