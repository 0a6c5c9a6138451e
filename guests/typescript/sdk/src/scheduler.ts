/**
 * Runs one handler to its end: promise jobs until there are none, then what WASI is waited for or the timers that are due,
 * then one `poll` with every call that is waited for and the time of the next timer, and so on. A replay sees the same
 * outcomes and the same clock, so it makes the same polls.
 */
import { CallFailed, Permanent, Unhandled } from "./errors.ts";
import { host, requireRun, type Invocation, type Outcome, type Pollable, type Want } from "./host.ts";
import { isError, property } from "./inspect.ts";
import {
  awaiterOf,
  callPromise,
  dropJobs,
  fail,
  fulfil,
  isGivenUp,
  isWatched,
  runJobs,
  settledBy,
  unhandledReasons,
  type Awaiter,
  type SdkPromise,
} from "./promise.ts";

/** A call that has no outcome yet. */
interface Call {
  readonly invocation: Invocation;
  readonly promise: SdkPromise;
  readonly decode: (value: Uint8Array) => unknown;
  /** Stops listening to the signal that could end the wait, if there is one. */
  unlisten: (() => void) | undefined;
  /** Has the host been asked for it? */
  asked: boolean;
}

/** The web's `AbortSignal`, which only a bundle that uses it has. */
export interface Signal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

interface Timer {
  readonly id: number;
  readonly at: number;
  readonly callback: () => void;
  /** Milliseconds after which it fires again. */
  readonly every: number | undefined;
  /** May anything come of it? */
  readonly isWanted: () => boolean;
}

/** Something of WASI that is waited for. */
interface Pending {
  readonly pollable: Pollable;
  readonly resume: () => void;
}

/** WASI's `poll`, which only a bundle that does I/O imports. */
type Select = (pollables: Pollable[]) => ArrayLike<number>;

/** Calls without an outcome in the order they were made, I/O, timers. Module state: an instance runs one handler. */
let open: Call[] = [];
let pending: Pending[] = [];
let select: Select;
let timers: Timer[] = [];
let lastTimer = 0;
/** Timers that have fired since the clock last moved. */
let firedInARow = 0;
/** Calls that were made, and of which nobody wanted the outcome when it was there. */
let ignored: Call[] = [];
/** What was found about the handler that ended last. */
let findings: string[] = [];

/** Puts a call into the next poll. Once `signal` is given, its promise is rejected, and the call is not asked for again. */
export function enqueue<R>(invocation: Invocation, decode: (value: Uint8Array) => unknown, signal?: Signal): Promise<R> {
  if (signal?.aborted) return Promise.reject(signal.reason);
  const promise = callPromise(invocation.task);
  const call: Call = { invocation, promise, decode, unlisten: undefined, asked: false };
  open.push(call);
  if (signal) endBy(signal, call);
  return promise as unknown as Promise<R>;
}

/**
 * Makes a call that the host answers at once, so that nothing has to wait with it. Gives a promise that has its outcome already.
 * It need not be awaited: the call is made, and a failure that nobody looks at ends the handler as any other does.
 */
export function ask<R>(invocation: Invocation, decode: (value: Uint8Array) => unknown): Promise<R> {
  const promise = callPromise(invocation.task);
  const [outcome] = host().poll([invocation], { tag: "all" }, null);
  settle({ invocation, promise, decode, unlisten: undefined, asked: true }, outcome!);
  return promise as unknown as Promise<R>;
}

function endBy(signal: Signal, call: Call): void {
  const stop = () => {
    open = open.filter((other) => other !== call);
    fail(call.promise, signal.reason);
  };
  signal.addEventListener("abort", stop);
  call.unlisten = () => signal.removeEventListener("abort", stop);
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

/** Timers that may fire one after the other while the clock stands still. After them it moves, so that a loop of them ends. */
const IN_A_ROW = 100;

/** What a timer is besides its callback and its time. */
interface TimerOptions {
  /** Does it fire again and again? */
  readonly again?: boolean;
  /** The function that it calls in the end: if that settles a promise and nothing else, the timer lasts as long as somebody waits. */
  readonly settle?: unknown;
  /** May anything come of it? Else no run is made for it. */
  readonly isWanted?: () => boolean;
}

/** Calls `callback` after `ms`. Gives a number by which the timer can be removed. */
export function addTimer(callback: () => void, ms: number, { again = false, settle, isWanted }: TimerOptions = {}): number {
  requireRun("a timer");
  const pause = Math.min(Math.max(firedInARow < IN_A_ROW ? 0 : 1, ms || 0), LONGEST);
  const promise = settledBy(settle);
  insert({
    id: ++lastTimer,
    at: host().now() + pause,
    callback,
    // At least a millisecond apart: else the clock would stand still, and no other timer would ever be due.
    every: again ? Math.max(1, pause) : undefined,
    isWanted: isWanted ?? (() => promise === undefined || awaiterOf(promise, new Map()) !== "nobody"),
  });
  return lastTimer;
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
  if (open.length + ignored.length === 0) return [];
  const known = new Map<unknown, Awaiter>();
  // What lost a race is not forgotten.
  const early = open.filter((call) => !call.asked && awaiterOf(call.promise, known) !== "nobody");
  const unwatched = [...ignored, ...open.filter(({ asked }) => asked)].filter(({ promise }) => !isWatched(promise));
  const late = unwatched.filter(({ promise }) => !isGivenUp(promise, known));
  const lines = (calls: Call[], what: string) => {
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
  else if (timers.length > 0 && isDue(timers[0]!)) fire();
  else wait();
  return true;
}

/** Waits for calls and timers. */
function wait(): void {
  const known = new Map<unknown, Awaiter>();
  const calls: Call[] = [];
  let common: Awaiter = "nobody";
  for (const call of open) {
    const awaiter = awaiterOf(call.promise, known);
    if (awaiter === "nobody") continue;
    if (calls.length === 0) common = awaiter;
    else if (awaiter !== common) common = "several";
    calls.push(call);
  }
  const timer = timers.find(({ isWanted }) => isWanted());
  if (calls.length > 0) return poll(calls, wish(calls.length, common), timer);
  if (timer) return sleepUntil(timer);
  // The handler waits in a way that can't be seen for what seemed to be given up.
  if (open.length > 0) return poll(open, { tag: "progress" }, timers[0]);
  if (timers.length > 0) return sleepUntil(timers[0]!);
  throw new Permanent("the handler waits for a promise that no call or timer will ever settle");
}

/** When a poll for so many calls is to return, if all of them have that awaiter. */
function wish(calls: number, common: Awaiter): Want {
  if (calls === 1) return { tag: "all" };
  // Several continuations, or a call that waits beside others: whichever can go on is to do so.
  if (typeof common !== "object" || !("kind" in common)) return { tag: "progress" };
  if (common.kind === "all") return { tag: "all" };
  return { tag: "some", val: common.kind === "settled" ? calls : Math.min(common.need, calls) };
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
  if (ready.has(batch.length)) fire();
}

/** Milliseconds that clocks may differ by where they are the same: they are fractions of what WASI counts. */
const INEXACT = 0.01;

/** Asks the host for `calls`; returns when there are outcomes, or when the timer is due. */
function poll(calls: readonly Call[], want: Want, timer: Timer | undefined): void {
  const until = timer ? Math.ceil(host().unixTime() + timer.at - host().now() - INEXACT / 2) : null;
  const outcomes = host().poll(calls.map(({ invocation }) => invocation), want, until);
  firedInARow = 0;
  const ended = new Set<Call>();
  calls.forEach((call, i) => {
    call.asked = true;
    if (outcomes[i]) ended.add(call);
  });
  // In place of a list without each, one after the other: with many calls that would take long.
  open = open.filter((call) => !ended.has(call));
  calls.forEach((call, i) => {
    if (!outcomes[i]) return;
    if (!isWatched(call.promise)) ignored.push(call);
    settle(call, outcomes[i]);
  });
}

function settle(call: Call, outcome: Outcome): void {
  const { promise } = call;
  call.unlisten?.();
  if (outcome.tag === "err") return fail(promise, new CallFailed(outcome.val));
  try {
    fulfil(promise, call.decode(outcome.val));
  } catch (error) {
    const why = isError(error) ? property(error, "message") : "";
    fail(promise, new Permanent(`the result of ${call.invocation.task} can't be read: ${why}`));
  }
}

/** Does not return in a run that has to wait: another run goes on when the time has come. A leaf sleeps where it is. */
function sleepUntil(timer: Timer): void {
  host().sleep(Math.max(0, timer.at - host().now()));
  firedInARow = 0;
}

function isDue(timer: Timer): boolean {
  return timer.at - host().now() < INEXACT;
}

function fire(): void {
  const timer = timers.shift()!;
  firedInARow += 1;
  // First, so that the callback can remove it.
  if (timer.every !== undefined) insert({ ...timer, at: host().now() + timer.every });
  timer.callback();
}

function reset(): void {
  open = [];
  pending = [];
  timers = [];
  firedInARow = 0;
  ignored = [];
  dropJobs();
}
