/** A form for a value: made from its JSON Schema, or a field for JSON. */
import { useSignal } from "@preact/signals";
import type { VNode } from "preact";
import { type Field, fields, initial, isJson, json } from "../logic/form.ts";

interface Props {
  readonly schema: unknown;
  readonly id: string;
  /** What the button says. */
  readonly send: string;
  /** Takes the value as JSON. */
  readonly onSend: (json: string) => Promise<unknown>;
  /** Must the value be an object? */
  readonly isObject?: boolean;
  readonly children?: preact.ComponentChildren;
}

export function SchemaForm({ schema, id, send, onSend, isObject = false, children }: Props): VNode {
  const all = fields(schema);
  const texts = useSignal<Record<string, string>>(Object.fromEntries((all ?? []).map((field) => [field.name, initial(field)])));
  const errors = useSignal<Record<string, string>>({});
  const text = useSignal(isObject ? "{}" : "");
  const asJson = useSignal(all === undefined);
  const isSending = useSignal(false);

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    let value: string;
    if (asJson.value || !all) {
      value = text.value.trim() || "null";
      const isWrong = !isJson(value) || (isObject && !value.startsWith("{"));
      errors.value = isWrong ? { "": isObject ? "This is no JSON object, such as {\"n\": 3}." : 'This is no JSON, such as 3, "text" or {"n": 3}.' } : {};
      if (isWrong) return;
    } else {
      const made = json(all, texts.value);
      errors.value = "errors" in made ? made.errors : {};
      if ("errors" in made) return;
      value = made.json;
    }
    isSending.value = true;
    await onSend(value);
    isSending.value = false;
  };
  const switchKind = (): void => {
    if (!asJson.value && all) {
      const made = json(all, texts.value);
      if ("json" in made) text.value = made.json;
    }
    asJson.value = !asJson.value;
  };
  return (
    <form class="schema-form" onSubmit={(event) => void submit(event)} noValidate>
      {asJson.value || !all ? (
        <label class="field" for={`${id}-json`}>
          <span>Value (JSON)</span>
          <textarea
            id={`${id}-json`}
            rows={4}
            spellcheck={false}
            value={text.value}
            aria-invalid={errors.value[""] !== undefined}
            aria-describedby={errors.value[""] === undefined ? undefined : `${id}-json-error`}
            onInput={(event) => (text.value = event.currentTarget.value)}
          />
          {errors.value[""] !== undefined && (
            <span class="field-error" id={`${id}-json-error`}>
              {errors.value[""]}
            </span>
          )}
        </label>
      ) : (
        all.map((field) => (
          <Input
            key={field.name}
            field={field}
            id={`${id}-${field.name}`}
            text={texts.value[field.name] ?? ""}
            error={errors.value[field.name]}
            onText={(changed) => (texts.value = { ...texts.value, [field.name]: changed })}
          />
        ))
      )}
      <div class="buttons">
        <button type="submit" class="primary" disabled={isSending.value}>
          {send}
        </button>
        {children}
        {all && (
          <button type="button" class="link" onClick={switchKind}>
            {asJson.value ? "fill in the form" : "write JSON"}
          </button>
        )}
      </div>
    </form>
  );
}

interface InputProps {
  readonly field: Field;
  readonly id: string;
  readonly text: string;
  readonly error: string | undefined;
  readonly onText: (text: string) => void;
}

function Input({ field, id, text, error, onText }: InputProps): VNode {
  const described = [field.description === undefined ? "" : `${id}-help`, error === undefined ? "" : `${id}-error`].filter(Boolean).join(" ");
  const common = {
    id,
    "aria-invalid": error !== undefined,
    "aria-describedby": described || undefined,
    "aria-required": field.isRequired,
    onInput: (event: { currentTarget: { value: string } }): void => onText(event.currentTarget.value),
  };
  const number = field.kind === "number" || field.kind === "integer";
  return (
    <div class={field.kind === "boolean" ? "field check" : "field"}>
      <label for={id}>
        {field.title}
        {!field.isRequired && <span class="muted"> (optional)</span>}
      </label>
      {field.kind === "boolean" ? (
        <input id={id} type="checkbox" checked={text === "true"} onChange={(event) => onText(String(event.currentTarget.checked))} />
      ) : field.kind === "choice" ? (
        <select {...common} value={text}>
          <option value="">–</option>
          {field.choices.map((choice) => (
            <option key={JSON.stringify(choice)} value={JSON.stringify(choice)}>
              {typeof choice === "string" ? choice : JSON.stringify(choice)}
            </option>
          ))}
        </select>
      ) : field.kind === "json" || field.kind === "long-text" ? (
        <textarea {...common} rows={3} spellcheck={false} placeholder={field.kind === "json" ? "JSON" : ""} value={text} />
      ) : (
        <input {...common} type="text" inputMode={number ? "decimal" : "text"} autocomplete="off" value={text} />
      )}
      {field.description !== undefined && (
        <span class="muted" id={`${id}-help`}>
          {field.description}
        </span>
      )}
      {error !== undefined && (
        <span class="field-error" id={`${id}-error`}>
          {error}
        </span>
      )}
    </div>
  );
}
