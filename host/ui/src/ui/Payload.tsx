/** The bytes of a payload or a result. A long one is shown in parts, so that one of megabytes stays smooth. */
import { type Signal, useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { send } from "../api/http.ts";
import { laidOut } from "../logic/json.ts";
import { begin, size } from "../logic/text.ts";
import { Problem } from "./Problem.tsx";
import { Visible } from "./Text.tsx";

/** So many bytes are read at first. Few payloads have more. */
const FIRST = 64 << 10;
/** So much of a long text is shown at first, and so much more with each click. */
const SHOWN = 16 << 10;
const MORE = 512 << 10;
/** A long text is in parts of this size, of which the browser lays out only those that can be seen. */
const PART = 16 << 10;

interface Loaded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly isAll: boolean;
  readonly isJson: boolean;
}

/** `once`: what it shows when the answer changes; a payload never changes, and a result comes once. */
export function Payload({ path, label }: { readonly path: string; readonly label: string }): VNode {
  const loaded = useSignal<Loaded | undefined>(undefined);
  const error = useSignal<Error | undefined>(undefined);
  const shown = useSignal(SHOWN);
  useEffect(() => {
    const stop = new AbortController();
    loaded.value = undefined;
    error.value = undefined;
    shown.value = SHOWN;
    void load(path, FIRST, stop.signal, loaded, error);
    return () => stop.abort();
  }, [path]);
  if (error.value) return <Problem error={error.value} />;
  if (!loaded.value) return <p class="muted">Reading…</p>;
  const { bytes, isAll, isJson } = loaded.value;
  const more = async (): Promise<void> => {
    if (!isAll) await load(path, Infinity, undefined, loaded, error);
    shown.value += MORE;
  };
  return (
    <div class="payload">
      <Content bytes={bytes} isAll={isAll} isJson={isJson} most={shown.value} label={label} />
      <p class="payload-foot">
        <span>
          {isAll ? size(bytes.length) : `more than ${size(bytes.length)}`}
          {!isJson && " · not JSON"}
        </span>
        {(!isAll || bytes.length > shown.value) && (
          <>
            <button type="button" class="link" onClick={() => void more()}>
              show more
            </button>
            <button type="button" class="link" onClick={() => void save(path, label)}>
              save as a file
            </button>
          </>
        )}
      </p>
    </div>
  );
}

async function load(path: string, most: number, stop: AbortSignal | undefined, loaded: Signal<Loaded | undefined>, error: Signal<Error | undefined>): Promise<void> {
  try {
    const response = await send(path, stop ? { signal: stop } : {});
    const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false;
    const reader = response.body?.getReader();
    const parts: Uint8Array[] = [];
    let length = 0;
    let isAll = false;
    while (length <= most) {
      const part = await reader?.read();
      if (!part || part.done) {
        isAll = true;
        break;
      }
      parts.push(part.value);
      length += part.value.length;
    }
    if (!isAll) void reader?.cancel();
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      bytes.set(part, at);
      at += part.length;
    }
    loaded.value = { bytes, isAll, isJson };
  } catch (reason) {
    if (!stop?.aborted) error.value = reason instanceof Error ? reason : new Error(String(reason));
  }
}

interface ContentProps extends Loaded {
  readonly most: number;
  readonly label: string;
}

function Content({ bytes, isAll, isJson, most, label }: ContentProps): VNode {
  const text = useMemo(() => (bytes.length === 0 ? "" : decoded(bytes)), [bytes]);
  const layout = useMemo(() => (isAll && isJson && text !== undefined && text.length <= FIRST ? laidOut(text) : undefined), [text, isAll, isJson]);
  if (bytes.length === 0) return <p class="muted">No bytes.</p>;
  if (text === undefined) return <Block label={label}>{hex(bytes.subarray(0, Math.min(bytes.length, most / 4)))}</Block>;
  if (layout) {
    return (
      <Block label={label}>
        {layout.map((token, index) =>
          token.kind === "mark" ? (
            token.text
          ) : (
            <span key={index} class={`json-${token.kind}`}>
              <Visible text={token.text} />
            </span>
          ),
        )}
      </Block>
    );
  }
  const shown = begin(text, most);
  const parts: string[] = [];
  for (let from = 0; from < shown.length; ) {
    const part = begin(shown.slice(from, from + PART), PART);
    parts.push(part);
    from += part.length;
  }
  return (
    <Block label={label}>
      {parts.map((part, index) => (
        <span key={index} class="part">
          <Visible text={part} />
        </span>
      ))}
    </Block>
  );
}

function Block({ label, children }: { readonly label: string; readonly children: preact.ComponentChildren }): VNode {
  // A region that scrolls can be reached by the keyboard.
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- see above
    <pre tabIndex={0} role="region" aria-label={label} dir="ltr">
      {children}
    </pre>
  );
}

/** UTF-8 as text. The end may be half a character. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
  } catch {
    return undefined;
  }
}

function hex(bytes: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const line = bytes.subarray(at, at + 16);
    const digits = Array.from(line, (byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = Array.from(line, (byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(8, "0")}  ${digits.padEnd(47)}  ${letters}`);
  }
  return lines.join("\n");
}

/** A link can't send the token, so the bytes are read first. */
async function save(path: string, name: string): Promise<void> {
  const blob = await (await send(path)).blob();
  const anchor = document.createElement("a");
  // Never as a page: the browser only stores it.
  anchor.href = URL.createObjectURL(new Blob([blob], { type: "application/octet-stream" }));
  anchor.download = name.toLowerCase().replaceAll(/\W+/g, "-");
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 60_000);
}
