/** The calls of a job as a graph, from left to right. Only what can be seen is in the document. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { type Box, type Edge, layout, NODE } from "../logic/graph.ts";
import { count } from "../logic/text.ts";
import { states } from "../logic/tree.ts";
import { State, States } from "../ui/State.tsx";
import { Visible } from "../ui/Text.tsx";
import type { CallsViewProps } from "./Timeline.tsx";

const MARGIN = 24;
const SCALES = [0.35, 0.5, 0.7, 0.85, 1, 1.25];

function curve({ from, to }: Edge): string {
  const [x1, y1] = [from.x + NODE.width, from.y + NODE.height / 2];
  const [x2, y2] = [to.x, to.y + NODE.height / 2];
  const bend = Math.max(NODE.across / 2, Math.abs(x2 - x1) / 2);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

export function Graph({ rows, current, selected, onKey, onShow }: CallsViewProps): VNode {
  const element = useRef<HTMLDivElement>(null);
  const { boxes, edges, width, height } = useMemo(() => layout(rows), [rows]);
  const scale = useSignal(1);
  const view = useSignal({ left: 0, top: 0, width: 1_000, height: 600 });
  useLayoutEffect(() => {
    const box = element.current;
    if (!box) return undefined;
    const look = (): void => void (view.value = { left: box.scrollLeft, top: box.scrollTop, width: box.clientWidth, height: box.clientHeight });
    look();
    const sizes = new ResizeObserver(look);
    sizes.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, []);
  const at = boxes.find(({ row }) => row === rows[current]);
  useEffect(() => {
    const box = element.current;
    if (!box || !at) return;
    const [x, y] = [(at.x + MARGIN) * scale.value, (at.y + MARGIN) * scale.value];
    const [right, bottom] = [x + NODE.width * scale.value, y + NODE.height * scale.value];
    if (x < box.scrollLeft || right > box.scrollLeft + box.clientWidth) box.scrollLeft = x - box.clientWidth / 3;
    if (y < box.scrollTop || bottom > box.scrollTop + box.clientHeight) box.scrollTop = y - box.clientHeight / 2;
  }, [at?.row.id, scale.value]);

  const spare = 200;
  const { left, top } = view.value;
  const visible = {
    left: left / scale.value - MARGIN - spare,
    right: (left + view.value.width) / scale.value - MARGIN + spare,
    top: top / scale.value - MARGIN - spare,
    bottom: (top + view.value.height) / scale.value - MARGIN + spare,
  };
  const isSeen = ({ x, y }: Box): boolean => x + NODE.width > visible.left && x < visible.right && y + NODE.height > visible.top && y < visible.bottom;
  const isEdgeSeen = ({ from, to, isOuter }: Edge): boolean =>
    (isOuter || isSeen(to)) &&
    Math.max(from.y, to.y) + NODE.height > visible.top && Math.min(from.y, to.y) < visible.bottom && Math.max(from.x, to.x) + NODE.width > visible.left && Math.min(from.x, to.x) < visible.right;
  const zoom = (by: number): void => {
    const index = SCALES.findIndex((one) => one >= scale.value);
    scale.value = SCALES[Math.min(Math.max(index + by, 0), SCALES.length - 1)] ?? 1;
  };
  const fit = (): void => {
    const box = element.current;
    if (!box) return;
    const wanted = Math.min(box.clientWidth / (width + 2 * MARGIN), box.clientHeight / (height + 2 * MARGIN));
    scale.value = SCALES.findLast((one) => one <= wanted) ?? SCALES[0] ?? 1;
  };
  return (
    <div class="graph-box">
      <div class="zoom">
        <button type="button" class="icon" aria-label="Smaller" onClick={() => zoom(-1)}>
          −
        </button>
        <button type="button" class="icon" aria-label="Larger" onClick={() => zoom(1)}>
          +
        </button>
        <button type="button" class="icon" aria-label="Fit into the window" title="Fit into the window" onClick={fit}>
          ⤢
        </button>
      </div>
      <div ref={element} class="graph" role="tree" tabIndex={0} aria-label="Calls as a graph" aria-activedescendant={at ? `node-${current}` : undefined} onKeyDown={onKey}>
        <div role="presentation" style={{ width: `${(width + 2 * MARGIN) * scale.value}px`, height: `${(height + 2 * MARGIN) * scale.value}px` }}>
          <div class="graph-inside" role="presentation" style={{ transform: `scale(${scale.value}) translate(${MARGIN}px, ${MARGIN}px)`, width: `${width}px`, height: `${height}px` }}>
            <svg width={width} height={height} aria-hidden="true">
              {edges.filter(isEdgeSeen).map((edge) => (
                <path key={`${edge.from.row.id} ${edge.to.row.id} ${edge.isExtra}`} d={curve(edge)} class={edge.isExtra ? "edge extra" : "edge"} />
              ))}
            </svg>
            {boxes.filter((box) => isSeen(box) || box === at).map((box) => {
              const { row, x, y } = box;
              const isGroup = row.kind === "group";
              const isSelected = !isGroup && row.call.hash === selected;
              const counts = isGroup ? states(row.calls) : [];
              const state = isGroup ? (counts.some(([one]) => one === "failed") ? "failed" : (counts[0]?.[0] ?? "ready")) : row.call.state;
              const name = isGroup ? row.task : (row.call.label ?? row.call.promise ?? row.call.task);
              return (
                // oxlint-disable-next-line jsx-a11y/click-events-have-key-events -- the tree takes the keys
                <div
                  key={row.id}
                  id={`node-${rows.indexOf(row)}`}
                  role="treeitem"
                  aria-level={row.depth + 1}
                  aria-expanded={isGroup ? row.isOpen : undefined}
                  aria-selected={isSelected}
                  class={`node edge-${state}${isGroup ? " group" : ""}${box === at ? " current" : ""}${isSelected ? " selected" : ""}`}
                  style={{ transform: `translate(${x}px, ${y}px)`, width: `${NODE.width}px`, height: `${NODE.height}px` }}
                  onClick={() => onShow(row)}
                >
                  <span class="name" title={name}>
                    <Visible text={name} />
                  </span>
                  {isGroup && <span class="times"> ×{count(row.calls.length)}</span>}
                  {counts.length > 1 ? <States states={counts} /> : <State state={state} />}
                </div>
              );
            })}
          </div>
        </div>
      </div>
    </div>
  );
}
