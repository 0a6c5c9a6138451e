/** What went wrong, and what to do. */
import type { VNode } from "preact";
import { ApiError } from "../api/http.ts";
import { Text } from "./Text.tsx";

export function Problem({ error, retry }: { readonly error: Error; readonly retry?: () => void }): VNode {
  const errors = error instanceof ApiError ? error.errors : [];
  return (
    <div class="problem" role="alert">
      <p>
        <Text>{error.message}</Text>
      </p>
      {errors.length > 0 && (
        <ul>
          {errors.map(({ pointer, message }) => (
            <li key={pointer}>
              <code>{pointer || "(all)"}</code> <Text>{message}</Text>
            </li>
          ))}
        </ul>
      )}
      {retry && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}
