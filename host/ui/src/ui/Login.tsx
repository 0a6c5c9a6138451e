/** Asks for the gateway's token. */
import type { VNode } from "preact";
import { useRef } from "preact/hooks";
import { logIn, wasRefused } from "../api/http.ts";

export function Login(): VNode {
  const field = useRef<HTMLInputElement>(null);
  const submit = (event: Event): void => {
    event.preventDefault();
    const token = field.current?.value.trim();
    if (token) logIn(token);
  };
  return (
    <main class="login" id="view">
      <form onSubmit={submit}>
        <h1>Token</h1>
        <p>
          This gateway needs a token: that of its <code>--http-token-file</code> or <code>BRRR_HTTP_TOKEN</code>. This tab keeps the token until it
          is closed.
        </p>
        {wasRefused.value && (
          <p class="problem" role="alert">
            The gateway refused this token.
          </p>
        )}
        <label>
          Token
          {/* oxlint-disable-next-line jsx-a11y/no-autofocus -- there is nothing else to do here */}
          <input ref={field} type="password" autocomplete="current-password" required autofocus />
        </label>
        <div class="buttons">
          <button type="submit" class="primary">
            Continue
          </button>
        </div>
      </form>
    </main>
  );
}
