/** Answers a promise: by a form of its JSON Schema, or by JSON. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { post, v1 } from "../api/http.ts";
import type { AwaitedPromises } from "../api/types.ts";
import { attempt, Dialog, tell } from "../ui/dialogs.tsx";
import { SchemaForm } from "../ui/SchemaForm.tsx";
import { Text } from "../ui/Text.tsx";

interface Props {
  readonly job: string;
  readonly promise: AwaitedPromises["promises"][number];
  readonly onDone?: () => void;
}

export function PromiseForm({ job, promise, onDone }: Props): VNode {
  const isRejecting = useSignal(false);
  const reason = useSignal("");
  const { title } = (promise.schema ?? {}) as { readonly title?: unknown };
  const path = v1("jobs", job, "promises", promise.name);
  const done = (text: string): void => {
    tell(text);
    onDone?.();
  };
  const resolve = async (json: string): Promise<void> => {
    if (await attempt(() => post(path, { json }))) done(`${promise.name} is resolved.`);
  };
  const reject = async (event: Event): Promise<void> => {
    event.preventDefault();
    if (await attempt(() => post(`${path}/reject`, { body: { reason: reason.value } }))) {
      isRejecting.value = false;
      done(`${promise.name} is rejected.`);
    }
  };
  return (
    <>
      {typeof title === "string" && (
        <p class="form-title">
          <Text>{title}</Text>
        </p>
      )}
      <SchemaForm schema={promise.schema} id={`promise-${promise.call.slice(0, 8)}`} send="Resolve" onSend={resolve}>
        <button type="button" class="danger" onClick={() => (isRejecting.value = true)}>
          Reject…
        </button>
      </SchemaForm>
      {isRejecting.value && (
        <Dialog title={`Reject ${promise.name}?`} close={() => (isRejecting.value = false)}>
          <form onSubmit={(event) => void reject(event)}>
            <p>The handler that waits gets a failure of the kind "rejected". This can't be undone.</p>
            <label class="field">
              Reason
              <input type="text" required value={reason.value} onInput={(event) => (reason.value = event.currentTarget.value)} />
            </label>
            <div class="buttons">
              <button type="button" onClick={() => (isRejecting.value = false)}>
                No, go back
              </button>
              <button type="submit" class="danger">
                Reject
              </button>
            </div>
          </form>
        </Dialog>
      )}
    </>
  );
}
