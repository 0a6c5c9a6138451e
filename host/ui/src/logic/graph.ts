/** Where the rows of a job are in the graph: a level is a column, and a parent is in the middle of its children. */
import type { Row } from "./tree.ts";

export const NODE = { width: 188, height: 44, across: 56, down: 12 };

export interface Box {
  readonly row: Row;
  readonly x: number;
  readonly y: number;
}

export interface Edge {
  readonly from: Box;
  readonly to: Box;
  /** The call has another parent, with which it is shown. */
  readonly isExtra: boolean;
  /** It leads to the first or the last child. A thousand others would be one dark surface. */
  readonly isOuter: boolean;
}

export interface Layout {
  readonly boxes: readonly Box[];
  readonly edges: readonly Edge[];
  readonly width: number;
  readonly height: number;
}

/** Rows come from top to bottom, each after its parent, so one pass from below and one from above are enough. */
export function layout(rows: readonly Row[]): Layout {
  const kept = rows.filter((row) => row.kind === "group" || !row.isAgain);
  const place = new Map(kept.map((row, index) => [row, index]));
  const above = kept.map((row) => place.get(rows[row.parent] as Row) ?? -1);
  const hasChildren = new Set(above);
  const y: number[] = Array.from({ length: kept.length }, () => 0);
  let next = 0;
  const first: (number | undefined)[] = [];
  const last: (number | undefined)[] = [];
  for (const index of kept.keys()) {
    if (hasChildren.has(index)) continue;
    y[index] = next;
    next += NODE.height + NODE.down;
  }
  for (let index = kept.length - 1; index >= 0; index -= 1) {
    const [from, to] = [first[index], last[index]];
    if (from !== undefined && to !== undefined) y[index] = (from + to) / 2;
    const parent = above[index] ?? -1;
    if (parent < 0) continue;
    first[parent] = Math.min(first[parent] ?? Infinity, y[index] ?? 0);
    last[parent] = Math.max(last[parent] ?? -Infinity, y[index] ?? 0);
  }
  const boxes = kept.map((row, index) => ({ row, x: row.depth * (NODE.width + NODE.across), y: y[index] ?? 0 }));
  const ofCall = new Map(boxes.flatMap((box) => (box.row.kind === "call" ? [[box.row.call, box] as const] : [])));
  const edges: Edge[] = [];
  for (const [index, to] of boxes.entries()) {
    const from = boxes[above[index] ?? -1];
    if (from) edges.push({ from, to, isExtra: false, isOuter: [first[above[index] ?? -1], last[above[index] ?? -1]].includes(to.y) });
  }
  for (const row of rows) {
    const parent = rows[row.parent];
    if (row.kind !== "call" || !row.isAgain || !parent) continue;
    const from = boxes[place.get(parent) ?? -1];
    const to = ofCall.get(row.call);
    if (from && to) edges.push({ from, to, isExtra: true, isOuter: false });
  }
  const width = Math.max(...boxes.map((box) => box.x), 0) + NODE.width;
  return { boxes, edges, width, height: Math.max(next - NODE.down, NODE.height) };
}
