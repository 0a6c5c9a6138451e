/** A list of very many rows of one height, of which only those that can be seen are in the document. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

interface Props<Row> {
  readonly rows: readonly Row[];
  readonly height: number;
  readonly id: string;
  readonly label: string;
  /** The index of the row that the keyboard is on. */
  readonly current: number;
  readonly onKey: (event: KeyboardEvent) => void;
  /** A row, which puts these attributes on its element. */
  readonly row: (row: Row, index: number, attributes: { readonly id: string; readonly style: { readonly transform: string } }) => ComponentChildren;
}

/** So many rows more than can be seen are in the document, above and below. */
const SPARE = 8;

export function Tree<Row>({ rows, height, id, label, current, onKey, row }: Props<Row>): VNode {
  const element = useRef<HTMLDivElement>(null);
  const view = useSignal({ top: 0, height: 600 });
  useLayoutEffect(() => {
    const box = element.current;
    if (!box) return undefined;
    const look = (): void => void (view.value = { top: box.scrollTop, height: box.clientHeight });
    look();
    const sizes = new ResizeObserver(look);
    sizes.observe(box);
    box.addEventListener("scroll", look, { passive: true });
    return () => {
      sizes.disconnect();
      box.removeEventListener("scroll", look);
    };
  }, []);
  // Keeps the row of the keyboard in sight.
  useEffect(() => {
    const box = element.current;
    if (!box || current < 0) return;
    const [top, bottom] = [current * height, (current + 1) * height];
    if (top < box.scrollTop) box.scrollTop = top;
    else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
  }, [current]);
  const first = Math.max(0, Math.floor(view.value.top / height) - SPARE);
  const last = Math.min(rows.length, Math.ceil((view.value.top + view.value.height) / height) + SPARE);
  return (
    <div
      ref={element}
      class="tree"
      role="tree"
      tabIndex={0}
      aria-label={label}
      aria-activedescendant={current >= first && current < last ? `${id}-${current}` : undefined}
      onKeyDown={onKey}
    >
      <div class="tree-inside" role="presentation" style={{ height: `${rows.length * height}px` }}>
        {rows.slice(first, last).map((one, offset) => {
          const index = first + offset;
          return row(one, index, { id: `${id}-${index}`, style: { transform: `translateY(${index * height}px)` } });
        })}
      </div>
    </div>
  );
}
