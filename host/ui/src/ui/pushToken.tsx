/** Changes of code need the push token, which the page asks for when the gateway wants it. */
import { signal } from "@preact/signals";
import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import { ApiError, post } from "../api/http.ts";
import { Dialog } from "./dialogs.tsx";

/** The push token, until the page is loaded again. It is sent with changes of code only. */
let pushToken: string | undefined;

const NEEDED = "A change of code needs the gateway's push token: that of its --push-token-file or BRRR_PUSH_TOKEN.";

const question = signal<{ readonly why: string; readonly answer: (token: string | undefined) => void } | undefined>(undefined);

/** Sends a change of code. Gives `false` if the user has no push token for it. */
export async function changeCode(path: string, body: unknown): Promise<boolean> {
  for (;;) {
    try {
      await post(path, { body, ...(pushToken === undefined ? {} : { token: pushToken }) });
      return true;
    } catch (error) {
      const isWanted = error instanceof ApiError && (error.status === 401 || error.kind === "push-not-allowed");
      if (!isWanted) throw error;
      const why = pushToken !== undefined ? "The gateway refused this token." : error.status === 401 ? NEEDED : error.message;
      pushToken = await new Promise((answer) => (question.value = { why, answer }));
      if (pushToken === undefined) return false;
    }
  }
}

export function PushTokenDialog(): VNode | null {
  const field = useRef<HTMLInputElement>(null);
  const asked = question.value;
  if (!asked) return null;
  const answer = (token: string | undefined): void => {
    question.value = undefined;
    asked.answer(token);
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    const token = field.current?.value.trim();
    if (token) answer(token);
  };
  return (
    <Dialog title="Push token" close={() => answer(undefined)}>
      <form onSubmit={submit}>
        <p class="muted" role="status">
          {asked.why}
        </p>
        <label class="field">
          <span>Push token</span>
          <input ref={field} type="password" autocomplete="off" required />
        </label>
        <p class="muted">It is kept until the page is loaded again.</p>
        <div class="buttons">
          <button type="button" onClick={() => answer(undefined)}>
            Cancel
          </button>
          <button type="submit" class="primary">
            Continue
          </button>
        </div>
      </form>
    </Dialog>
  );
}
