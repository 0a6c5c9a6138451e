/** A text that is a setting of the view: it counts when it was written to its end. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { useEffect } from "preact/hooks";

interface Props {
  readonly name: string;
  readonly value: string;
  readonly placeholder?: string;
  /** The id of a `datalist`. */
  readonly list?: string;
  readonly onSet: (text: string) => void;
}

export function Setting({ name, value, placeholder = "", list, onSet }: Props): VNode {
  // A view may be drawn again while somebody writes.
  const text = useSignal(value);
  useEffect(() => void (text.value = value), [value]);
  return (
    <label>
      <span>{name}</span>
      <input
        type="text"
        list={list}
        value={text.value}
        placeholder={placeholder}
        autocomplete="off"
        spellcheck={false}
        onInput={(event) => (text.value = event.currentTarget.value)}
        onChange={(event) => onSet(event.currentTarget.value.trim())}
      />
    </label>
  );
}
