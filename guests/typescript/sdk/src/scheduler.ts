/**
 * Runs one handler to its end: promise jobs until there are none, then what WASI is waited for, then one `poll` with
 * every call that is waited for, and so on. Such a batch is a barrier, so a replay, which sees the same outcomes, makes
 * the same batches.
 */
import { CallFailed, Permanent, Unhandled } from "./errors.ts";
import { host, requireRun, type Invocation, type Outcome, type Pollable } from "./host.ts";
import { isError, property } from "./inspect.ts";
import { dropJobs, isPromise, isWatched, labelCall, runJobs, unhandledReasons, watch } from "./promise.ts";

/** A call somebody may be waiting for. */
interface Waiting {
  readonly invocation: Invocation;
  readonly promise: PromiseLike<unknown>;
  readonly decode: (value: Uint8Array) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

interface Race {
  readonly members: readonly Waiting[];
  readonly need: number;
  readonly resolve: (finished: (number | undefined)[]) => void;
}

interface Timer {
  readonly id: number;
  readonly at: number;
  readonly callback: () => void;
  /** Milliseconds after which it fires again. */
  readonly every: number | undefined;
}

/** Something of WASI that is waited for. */
interface Pending {
  readonly pollable: Pollable;
  readonly resume: () => void;
}

/** WASI's `poll`, which only a bundle that does I/O imports. */
type Select = (pollables: Pollable[]) => ArrayLike<number>;

/** Calls of the next batch, races beside it, I/O, timers. Module state: an instance runs one handler. */
let waiting: Waiting[] = [];
let races: Race[] = [];
let pending: Pending[] = [];
let select: Select;
let timers: Timer[] = [];
let lastTimer = 0;
/** The promises of calls that no batch has asked for yet, so that a race can claim them. */
let unasked = new Map<PromiseLike<unknown>, Waiting>();
/** Calls that were made, and of which nobody wanted the outcome when it was there. */
let ignored: Waiting[] = [];
/** What was found about the handler that ended last. */
let findings: string[] = [];

/** Puts a call into the next batch. */
export function enqueue<R>(invocation: Invocation, decode: (value: Uint8Array) => unknown): Promise<R> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  if (isPromise(promise)) labelCall(promise, invocation.task);
  const entry = { invocation, promise, decode, resolve, reject };
  waiting.push(entry);
  unasked.set(promise, entry);
  return promise as Promise<R>;
}

/**
 * Takes fresh calls out of the next batch and makes them a race: `need` of them settle, the others never do. Gives the
 * indices of those that did.
 */
export function enqueueRace(calls: readonly PromiseLike<unknown>[], need: number): Promise<number[]> {
  const members = calls.map((call) => {
    const entry = unasked.get(call);
    if (entry === undefined) {
      throw new TypeError("a race takes calls made with app.call(...)(...) and not awaited before");
    }
    return entry;
  });
  for (const call of calls) {
    unasked.delete(call);
    // Of a race nobody needs all outcomes.
    if (isPromise(call)) watch(call);
  }
  const claimed = new Set(members);
  waiting = waiting.filter((entry) => !claimed.has(entry));
  return new Promise((resolve) => {
    races.push({ members, need, resolve: (finished) => resolve(finished as number[]) });
  });
}

/** Calls `resume` once `pollable` is ready, and disposes of it. Gives a function that stops waiting. */
export function whenReady(pollable: Pollable, poll: Select, resume: () => void): () => void {
  const entry = { pollable, resume };
  select = poll;
  pending.push(entry);
  return () => {
    if (!pending.includes(entry)) return;
    pending = pending.filter((other) => other !== entry);
    pollable[Symbol.dispose]();
  };
}

/** Milliseconds of the longest pause, some centuries: WASI's clocks count nanoseconds in 64 bits. */
const LONGEST = 1e13;

/** Calls `callback` after `ms`, `again` and again. Gives a number by which it can be removed. */
export function addTimer(callback: () => void, ms: number, again = false): number {
  requireRun("a timer");
  const pause = Math.min(Math.max(0, ms || 0), LONGEST);
  // At least a millisecond apart: else the clock would stand still, and no other timer would ever be due.
  const timer = { id: ++lastTimer, at: host().now() + pause, callback, every: again ? Math.max(1, pause) : undefined };
  insert(timer);
  return timer.id;
}

function insert(timer: Timer): void {
  // Behind all that are due no later: timers for one moment fire in the order they were set.
  const after = timers.findIndex((other) => other.at > timer.at);
  timers.splice(after < 0 ? timers.length : after, 0, timer);
}

export function removeTimer(id: number | undefined): void {
  timers = timers.filter((timer) => timer.id !== id);
}

/** Runs `main` to its end. Gives what it returned or throws what it threw. */
export function run<T>(main: () => T | PromiseLike<T>): T {
  reset();
  findings = [];
  let state: "running" | "done" | "failed" = "running";
  let value: unknown;
  new Promise<T>((resolve) => resolve(main())).then(
    (result) => ([state, value] = ["done", result]),
    (reason) => ([state, value] = ["failed", reason]),
  );
  try {
    while (step(() => state === "running"));
    if ((state as string) === "done") {
      const reasons = unhandledReasons();
      if (reasons.length > 0) throw new Unhandled(reasons);
      findings = forgottenCalls();
    }
  } finally {
    // A call that nobody waited for before the end is not made.
    reset();
  }
  if ((state as string) === "failed") throw value;
  return value as T;
}

/** What was found about the handler that ended last, once. */
export function takeFindings(): string[] {
  const taken = findings;
  findings = [];
  return taken;
}

/** Calls that the handler's end came before, and calls of which it never took the outcome: a line a task. */
function forgottenCalls(): string[] {
  // Most handlers end without any.
  if (waiting.length + races.length + ignored.length === 0) return [];
  const early = [...waiting, ...races.flatMap(({ members }) => members)];
  const late = ignored.filter(({ promise }) => isPromise(promise) && !isWatched(promise));
  const lines = (calls: Waiting[], what: string) => {
    const counts = new Map<string, number>();
    for (const { invocation } of calls) counts.set(invocation.task, (counts.get(invocation.task) ?? 0) + 1);
    return Array.from(counts, ([task, n]) => (n === 1 ? `the call of ${task} was` : `${n} calls of ${task} were`) + what);
  };
  return [
    ...lines(early, " never waited for, and so not made: await it, or leave it out"),
    ...lines(late, " made, but the outcome was never waited for: await it"),
  ];
}

/** One round: all jobs, then what may let the handler go on. False at its end. */
function step(running: () => boolean): boolean {
  runJobs();
  if (!running()) return false;
  if (pending.length > 0) resumeReady(timers[0]);
  // Calls before timers: with virtual time a timer would otherwise always win, and every timeout would strike.
  else if (waiting.length > 0 || races.length > 0) poll();
  else if (timers.length > 0) fire(timers.shift()!);
  else throw new Permanent("the handler waits for a promise that no call or timer will ever settle");
  return true;
}

/** Waits until something pending can go on, or until a timer is due: beside a request time passes in every handler. */
function resumeReady(timer: Timer | undefined): void {
  const batch = pending;
  const pollables = batch.map(({ pollable }) => pollable);
  const alarm = timer && host().timer(Math.max(0, timer.at - host().now()));
  const ready = new Set(Array.from(select(alarm ? [...pollables, alarm] : pollables)));
  alarm?.[Symbol.dispose]();
  pending = batch.filter((_, i) => !ready.has(i));
  batch.forEach(({ pollable, resume }, i) => {
    if (!ready.has(i)) return;
    pollable[Symbol.dispose]();
    resume();
  });
  if (ready.has(batch.length)) fire(timers.shift()!);
}

function poll(): void {
  const [batch, raceBatch] = [waiting, races];
  waiting = [];
  races = [];
  unasked = new Map();
  // Nothing resumes before all are asked: which calls one round makes must not depend on who resumes first.
  const outcomes = batch.length > 0 ? host().poll(batch.map(({ invocation }) => invocation), null) : [];
  const raceOutcomes = raceBatch.map(({ members, need }) =>
    host().poll(members.map(({ invocation }) => invocation), need),
  );
  batch.forEach((entry, i) => settle(entry, outcomes[i]!));
  ignored = ignored.concat(batch.filter(({ promise }) => isPromise(promise) && !isWatched(promise)));
  raceBatch.forEach(({ members, resolve }, r) => {
    const finished: number[] = [];
    members.forEach((entry, i) => {
      const outcome = raceOutcomes[r]![i];
      if (!outcome) return;
      settle(entry, outcome);
      finished.push(i);
    });
    resolve(finished);
  });
}

function settle(entry: Waiting, outcome: Outcome): void {
  if (outcome.tag === "err") return entry.reject(new CallFailed(outcome.val));
  try {
    entry.resolve(entry.decode(outcome.val));
  } catch (error) {
    const why = isError(error) ? property(error, "message") : "";
    entry.reject(new Permanent(`the result of ${entry.invocation.task} can't be read: ${why}`));
  }
}

function fire(timer: Timer): void {
  const wait = timer.at - host().now();
  if (wait > 0) host().sleep(wait);
  // First, so that the callback can remove it.
  if (timer.every !== undefined) insert({ ...timer, at: host().now() + timer.every });
  timer.callback();
}

function reset(): void {
  waiting = [];
  races = [];
  pending = [];
  timers = [];
  unasked = new Map();
  ignored = [];
  dropJobs();
}
