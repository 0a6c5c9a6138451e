/** The state of a job or call: a word with a sign, so that nobody depends on the colour. */
import type { VNode } from "preact";
import { count } from "../logic/text.ts";

const SIGNS: Record<string, string> = {
  scheduled: "◷",
  unscheduled: "·",
  ready: "○",
  running: "▸",
  deferred: "◔",
  completed: "✓",
  failed: "✕",
  cancelled: "⊘",
  "timed-out": "!",
};

/** `waiting` says what `deferred` is; `not asked for yet` what `unscheduled` is. */
export const WORDS: Record<string, string> = { deferred: "waiting", unscheduled: "not queued", "timed-out": "timed out" };

export const word = (state: string): string => WORDS[state] ?? state;

export function State({ state }: { readonly state: string }): VNode {
  return (
    <span class={`state state-${state}`}>
      <span aria-hidden="true">{SIGNS[state] ?? "?"}</span> <span class="word">{word(state)}</span>
    </span>
  );
}

/** How many are in which state. */
export function States({ states }: { readonly states: readonly (readonly [string, number])[] }): VNode {
  return (
    <span class="states">
      {states.map(([state, number]) => (
        <span key={state} class={`state state-${state}`} title={`${count(number)} ${word(state)}`}>
          <span aria-hidden="true">{SIGNS[state] ?? "?"}</span> {count(number)}
          <span class="sr-only"> {word(state)}</span>
        </span>
      ))}
    </span>
  );
}
