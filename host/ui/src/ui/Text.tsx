/** Text of others, as text: see logic/text.ts. */
import type { VNode } from "preact";
import { useMemo, useState } from "preact/hooks";
import { begin, pieces, size } from "../logic/text.ts";

interface Props {
  readonly children: string;
  /** A longer text is cut, with a button that shows the rest. */
  readonly most?: number;
}

/** One line or a few. */
export function Text({ children, most = 500 }: Props): VNode {
  const [isAll, showAll] = useState(false);
  const text = isAll ? children : begin(children, most);
  return (
    <bdi class="text">
      <Visible text={text} />
      {text.length < children.length && (
        <>
          …{" "}
          <button type="button" class="link" onClick={() => showAll(true)}>
            show more ({size(children.length)})
          </button>
        </>
      )}
    </bdi>
  );
}

/** A text, with what can't be seen made visible. */
export function Visible({ text }: { readonly text: string }): VNode {
  const parts = useMemo(() => pieces(text), [text]);
  return (
    <>
      {parts.map((piece, index) =>
        piece.code === undefined ? (
          piece.text
        ) : (
          <span key={index} class="hidden-char" title={`the character ${piece.code}`}>
            {piece.text}
          </span>
        ),
      )}
    </>
  );
}

/** An id or a hash: its begin, and a button that copies all of it. */
export function Id({ children, length = 12 }: { readonly children: string; readonly length?: number }): VNode {
  const [isCopied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(children);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_500);
  };
  return (
    <span class="id">
      <code title={children}>
        <Visible text={begin(children, length)} />
        {children.length > length && "…"}
      </code>
      {/* Only pages over HTTPS or of localhost may copy. */}
      {isSecureContext && (
        <button type="button" class="icon" onClick={() => void copy()} aria-label={isCopied ? "Copied" : "Copy"} title="Copy">
          {isCopied ? (
            "✓"
          ) : (
            <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="outline">
              <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
              <path d="M10.5 3.5V3A1.5 1.5 0 0 0 9 1.5H4A1.5 1.5 0 0 0 2.5 3v5A1.5 1.5 0 0 0 4 9.5" />
            </svg>
          )}
        </button>
      )}
    </span>
  );
}
