/** The calls of a job, and the rows in which they are shown: calls of one task under one parent are folded into one row. */
import type { Branch, Failure } from "../api/types.ts";

export interface Call {
  readonly hash: string;
  task: string;
  promise: string | undefined;
  label: string | undefined;
  state: string;
  attempt: number;
  /** Unix times in milliseconds; `undefined` if the backend does not know them. */
  asked: number | undefined;
  ended: number | undefined;
  reused: boolean;
  waiting: number | undefined;
  waitsUntil: number | undefined;
  nextAttemptAt: number | undefined;
  lastFailure: string | undefined;
  failure: Failure | undefined;
  leftOut: number;
  readonly children: Call[];
  readonly parents: Call[];
}

export interface Job {
  readonly top: Call;
  readonly calls: ReadonlyMap<string, Call>;
}

const at = (text: string | null | undefined): number | undefined => (text ? Date.parse(text) : undefined);

/** A document of the gateway as a graph. A call that several calls ask for is in it once. */
export function jobOf(document: Branch): Job {
  const calls = new Map<string, Call>();
  const call = (branch: Branch): Call => {
    const known = calls.get(branch.call);
    if (known) return known;
    const made: Call = {
      hash: branch.call,
      task: branch.task ?? "?",
      promise: branch.promise,
      label: branch.label,
      state: branch.state,
      attempt: 1,
      asked: undefined,
      ended: undefined,
      reused: false,
      waiting: undefined,
      waitsUntil: undefined,
      nextAttemptAt: undefined,
      lastFailure: undefined,
      failure: undefined,
      leftOut: 0,
      children: [],
      parents: [],
    };
    calls.set(branch.call, made);
    return made;
  };
  // Not by recursion: a chain of calls may be long.
  const open = [document];
  for (let branch = open.pop(); branch; branch = open.pop()) {
    const of = call(branch);
    if (branch.see_above) continue;
    of.attempt = branch.attempt ?? 1;
    of.asked = at(branch.asked);
    of.ended = at(branch.ended);
    of.reused = branch.reused ?? false;
    of.waiting = branch.waiting;
    of.waitsUntil = at(branch.waits_until);
    of.nextAttemptAt = at(branch.next_attempt_at);
    of.lastFailure = branch.last_failure;
    of.failure = branch.failure;
    of.leftOut = branch.left_out ?? 0;
    for (const child of branch.children ?? []) {
      const made = call(child);
      of.children.push(made);
      made.parents.push(of);
      open.push(child);
    }
  }
  return { top: call(document), calls };
}

export interface CallRow {
  readonly kind: "call";
  readonly id: string;
  readonly depth: number;
  readonly call: Call;
  /** Has it rows below it? Are they shown? */
  readonly isOpen: boolean | undefined;
  /** The call is shown with its children somewhere else. */
  readonly isAgain: boolean;
  readonly parent: number;
}

export interface GroupRow {
  readonly kind: "group";
  readonly id: string;
  readonly depth: number;
  readonly task: string;
  readonly calls: readonly Call[];
  readonly isOpen: boolean;
  readonly parent: number;
}

export type Row = CallRow | GroupRow;

/** So many calls of one task under one parent are shown one by one. More are folded. */
const ALONE = 5;

/** Of the failed calls of a folded row, so many are shown below it. */
const FAILED_SHOWN = 3;

export const isFailed = (state: string): boolean => state === "failed" || state === "timed-out";
export const isEnded = (state: string): boolean => isFailed(state) || state === "completed" || state === "cancelled";

/** What a user has opened and closed. A group is closed, and a call is open, unless the user has changed it. */
export interface Folds {
  readonly opened: ReadonlySet<string>;
  readonly closed: ReadonlySet<string>;
}

export const groupId = (parent: Call, task: string): string => `${parent.hash}/${task}`;

/** The children in the order of the calls; of each task with many children there is one group, where its first call is. */
export function parts(call: Call): (Call | { readonly task: string; readonly calls: Call[] })[] {
  const ofTask = new Map<string, Call[]>();
  for (const child of call.children) {
    const same = ofTask.get(child.task);
    if (same) same.push(child);
    else ofTask.set(child.task, [child]);
  }
  const found: (Call | { task: string; calls: Call[] })[] = [];
  for (const child of call.children) {
    const same = ofTask.get(child.task) ?? [];
    if (same.length <= ALONE) found.push(child);
    else if (same[0] === child) found.push({ task: child.task, calls: same });
  }
  return found;
}

/** The rows of a job, from top to bottom. */
export function rows(job: Job, folds: Folds): Row[] {
  const found: Row[] = [];
  const shown = new Set<Call>();
  const addCall = (call: Call, depth: number, parent: number): void => {
    const isAgain = shown.has(call);
    shown.add(call);
    const hasMore = !isAgain && call.children.length > 0;
    const isOpen = hasMore ? !folds.closed.has(call.hash) : undefined;
    const index = found.length;
    found.push({ kind: "call", id: isAgain ? `${call.hash}@${index}` : call.hash, depth, call, isOpen, isAgain, parent });
    if (!isOpen) return;
    for (const part of parts(call)) {
      if ("calls" in part) addGroup(call, part.task, part.calls, depth + 1, index);
      else addCall(part, depth + 1, index);
    }
  };
  const addGroup = (parent: Call, task: string, calls: readonly Call[], depth: number, above: number): void => {
    const id = groupId(parent, task);
    const isOpen = folds.opened.has(id);
    const index = found.length;
    found.push({ kind: "group", id, depth, task, calls, isOpen, parent: above });
    const below = isOpen ? calls : calls.filter((call) => isFailed(call.state)).slice(0, FAILED_SHOWN);
    for (const call of below) addCall(call, depth + 1, index);
  };
  addCall(job.top, 0, -1);
  return found;
}

/** The calls from the top to this one, by first parents. */
export function pathTo(call: Call): Call[] {
  const path = [call];
  const seen = new Set(path);
  for (let up = call.parents[0]; up && !seen.has(up); up = up.parents[0]) {
    path.unshift(up);
    seen.add(up);
  }
  return path;
}

/** The groups that must be open for this call to be shown. */
export function groupsAbove(call: Call): string[] {
  const path = pathTo(call);
  return path.slice(1).map((child, index) => groupId(path[index] ?? child, child.task));
}

/** From a failed call down to the call that is the cause: the last one that no failed child explains. */
export function failureChain(call: Call): Call[] {
  const chain = [call];
  const seen = new Set(chain);
  for (;;) {
    const last = chain.at(-1);
    const message = last?.failure?.message;
    const failed = last?.children.filter((child) => child.failure && !seen.has(child)) ?? [];
    // A handler that catches a child's failure may fail for another reason.
    const next = failed.find((child) => child.failure?.message === message);
    if (!next) return chain;
    chain.push(next);
    seen.add(next);
  }
}

/** How many of these calls are in which state, the most frequent first. */
export function states(calls: Iterable<Call>): [state: string, number: number][] {
  const counts = new Map<string, number>();
  for (const { state } of calls) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].toSorted((a, b) => b[1] - a[1]);
}
