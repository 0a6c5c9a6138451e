/** The calls of a job over time: a row for each call, and one for many calls of the same task. */
import type { VNode } from "preact";
import { useMemo } from "preact/hooks";
import type { Job } from "../api/types.ts";
import { count } from "../logic/text.ts";
import { isEnded, type Row, states } from "../logic/tree.ts";
import { span, ticks } from "../logic/time.ts";
import { Tree } from "../ui/List.tsx";
import { State, States, word } from "../ui/State.tsx";
import { Visible } from "../ui/Text.tsx";
import { now } from "../ui/Time.tsx";

export interface CallsViewProps {
  readonly job: Job;
  readonly rows: readonly Row[];
  /** The row that the keyboard is on. */
  readonly current: number;
  /** The hash of the call that is shown beside. */
  readonly selected: string | undefined;
  readonly onKey: (event: KeyboardEvent) => void;
  readonly onShow: (row: Row) => void;
  readonly onToggle: (row: Row, open: boolean) => void;
}

const HEIGHT = 32;

/** The times of a row: of a call, or of all calls of a group. */
function times(row: Row, end: number): { from: number; to: number } | undefined {
  const calls = row.kind === "group" ? row.calls : [row.call];
  let [from, to] = [Infinity, -Infinity];
  for (const call of calls) {
    if (call.asked === undefined || call.reused) continue;
    from = Math.min(from, call.asked);
    to = Math.max(to, call.ended ?? (isEnded(call.state) ? call.asked : end));
  }
  return from <= to ? { from, to } : undefined;
}

export function Timeline({ job, rows, current, selected, onKey, onShow, onToggle }: CallsViewProps): VNode {
  const isOver = job.ended !== null && job.ended !== undefined;
  const start = Date.parse(job.starts ?? job.created);
  const [first] = rows;
  // The end of the job may be noted a moment before that of its call.
  const ended = first?.kind === "call" ? first.call.ended : undefined;
  const end = Math.max(isOver ? Date.parse(job.ended ?? "") : now.value, ended ?? 0, start + 1);
  const total = end - start;
  const lines = useMemo(() => ticks(total), [total]);
  const at = (time: number): number => Math.min(100, Math.max(0, ((time - start) / total) * 100));
  return (
    <div class="timeline" style={{ "--step": `${((lines[1] ?? total) / total) * 100}%` }}>
      <div class="axis" aria-hidden="true">
        <span class="axis-name" />
        <span class="axis-times">
          {lines.map((line) => (
            <span key={line} style={{ left: `${(line / total) * 100}%` }}>
              {line === 0 ? "0" : span(line).replace(".0 ", " ")}
            </span>
          ))}
        </span>
      </div>
      <Tree
        rows={rows}
        height={HEIGHT}
        id="row"
        label="Calls"
        current={current}
        onKey={onKey}
        row={(row, index, attributes) => {
          const bar = times(row, end);
          const isGroup = row.kind === "group";
          const name = isGroup ? row.task : (row.call.label ?? row.call.promise ?? row.call.task);
          const isSelected = !isGroup && row.call.hash === selected;
          const counts = isGroup ? states(row.calls) : [];
          const state = isGroup ? (counts.some(([one]) => one === "failed") ? "failed" : (counts[0]?.[0] ?? "ready")) : row.call.state;
          return (
            // oxlint-disable-next-line jsx-a11y/click-events-have-key-events -- the tree takes the keys
            <div
              key={row.id}
              {...attributes}
              role="treeitem"
              aria-level={row.depth + 1}
              aria-expanded={row.isOpen}
              aria-selected={isSelected}
              class={`row${index === current ? " current" : ""}${isSelected ? " selected" : ""}`}
              onClick={() => onShow(row)}
            >
              <span class="row-name" style={{ paddingLeft: `${8 + Math.min(row.depth, 12) * 16}px` }}>
                <span
                  class="fold"
                  aria-hidden="true"
                  onClick={(event) => {
                    if (row.isOpen === undefined) return;
                    event.stopPropagation();
                    onToggle(row, !row.isOpen);
                  }}
                >
                  {row.isOpen === undefined ? "" : row.isOpen ? "▾" : "▸"}
                </span>
                {isGroup ? (
                  <>
                    <span class="name">
                      <Visible text={name} />
                    </span>
                    <span class="times">×{count(row.calls.length)}</span>
                    <States states={counts} />
                  </>
                ) : (
                  <>
                    <State state={row.call.state} />
                    <span class="name">
                      {row.call.promise === undefined ? "" : "promise "}
                      <Visible text={name} />
                    </span>
                    {row.call.attempt > 1 && <span class="tag">attempt {row.call.attempt}</span>}
                    {row.call.reused && <span class="tag">reused</span>}
                    {row.isAgain && <span class="tag">see above</span>}
                    {row.call.leftOut > 0 && <span class="tag">{count(row.call.leftOut)} not shown</span>}
                  </>
                )}
              </span>
              <span class="row-bar">
                {bar && (
                  <span
                    class={`bar state-${state}${isGroup ? " group" : ""}`}
                    style={{ left: `${at(bar.from)}%`, width: `max(3px, ${at(bar.to) - at(bar.from)}%)` }}
                    title={`${word(state)}, ${span(bar.to - bar.from)}`}
                  />
                )}
              </span>
              <span class="row-time">{bar && span(bar.to - bar.from)}</span>
            </div>
          );
        }}
      />
    </div>
  );
}
