/** Questions before what can't be undone, and short messages. */
import { signal } from "@preact/signals";
import type { ComponentChildren, VNode } from "preact";
import { useEffect, useRef } from "preact/hooks";

interface Question {
  readonly title: string;
  readonly text: ComponentChildren;
  readonly yes: string;
  readonly answer: (isYes: boolean) => void;
}

const question = signal<Question | undefined>(undefined);
const message = signal<{ readonly text: ComponentChildren; readonly isBad: boolean } | undefined>(undefined);
let timer: ReturnType<typeof setTimeout> | undefined;

/** Asks whether to do what can't be undone. */
export function confirm(title: string, text: ComponentChildren, yes: string): Promise<boolean> {
  question.peek()?.answer(false);
  return new Promise((answer) => (question.value = { title, text, yes, answer }));
}

/** Says what has happened. */
export function tell(text: ComponentChildren, isBad = false): void {
  clearTimeout(timer);
  message.value = { text, isBad };
  timer = setTimeout(() => (message.value = undefined), isBad ? 12_000 : 5_000);
}

/** Does something that a button asks for, and says so if it fails. */
export async function attempt(action: () => Promise<unknown>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    tell(error instanceof Error ? error.message : String(error), true);
    return false;
  }
}

export function Dialog({ title, children, close }: { readonly title: string; readonly children: ComponentChildren; readonly close?: () => void }): VNode {
  const element = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    // A click beside the dialog closes it, as Escape does.
    // oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions
    <dialog
      ref={element}
      aria-labelledby="dialog-title"
      onCancel={(event) => {
        event.preventDefault();
        close?.();
      }}
      onClick={(event) => {
        if (event.target === element.current) close?.();
      }}
    >
      <div class="dialog">
        <h2 id="dialog-title">{title}</h2>
        {children}
      </div>
    </dialog>
  );
}

export function Dialogs(): VNode {
  const asked = question.value;
  const answer = (isYes: boolean): void => {
    question.value = undefined;
    asked?.answer(isYes);
  };
  return (
    <>
      {asked && (
        <Dialog title={asked.title} close={() => answer(false)}>
          <div>{asked.text}</div>
          <div class="buttons">
            <button type="button" onClick={() => answer(false)}>
              No, go back
            </button>
            <button type="button" class="danger" onClick={() => answer(true)}>
              {asked.yes}
            </button>
          </div>
        </Dialog>
      )}
      <div class="messages" role="status" aria-live="polite">
        {message.value && (
          <div class={message.value.isBad ? "message bad" : "message"}>
            <span>{message.value.text}</span>
            <button type="button" class="icon" aria-label="Close this message" onClick={() => (message.value = undefined)}>
              ✕
            </button>
          </div>
        )}
      </div>
    </>
  );
}
