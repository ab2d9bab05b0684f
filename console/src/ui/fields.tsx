import { useLingui } from "@lingui/react/macro";
import { NativeSelect, PasswordInput, Textarea, TextInput } from "@mantine/core";
import { useForm, type UseFormReturnType } from "@mantine/form";
import type { ComponentType } from "react";
import type { FieldKind, FieldValue, Texts } from "~/lib/field-values";
import type { ApiError } from "~/lib/problem";
import { Panel } from "./page";
import classes from "./fields.module.css";

/** One field of a form, said once: what it is called, how it is entered and what it may hold. */
export interface Field extends FieldValue {
  label: string;
  description?: string;
  placeholder?: string;
  required?: boolean;
  /** Takes the whole width where there are two columns. */
  wide?: boolean;
  /** The closed set of a `choice`. */
  choices?: readonly { value: string; label: string }[];
  /** Replaces the input, for choosing a record. */
  picker?: ComponentType<PickerProps>;
  /** What is wrong with a text, if anything is. */
  validate?(text: string): string | null;
  /** What a text means, told under its input in place of the description. */
  explain?(text: string): string | null;
  /** What is different about it by what the other inputs say; null when it is not asked for at all. */
  vary?(texts: Texts): Partial<Field> | null;
}

/** What a picker gets; it tells of an id or of none. */
export interface PickerProps {
  label: string;
  description?: string | undefined;
  value: string;
  error?: React.ReactNode;
  onChange(id: string | null): void;
}

export type FieldForm = UseFormReturnType<Record<string, string>>;

/** A form's state and rules, from its fields. */
export function useFieldForm(fields: readonly Field[], initialValues: Record<string, string>): FieldForm {
  const { t } = useLingui();
  const rule = (plain: Field) => (text: string, texts: Texts) => {
    const field = varied(plain, texts);
    if (!field) return null;
    if (field.required && text.trim() === "") return t`This is needed.`;
    return field.validate?.(text) ?? null;
  };
  return useForm({ initialValues, validate: Object.fromEntries(fields.map((f) => [f.name, rule(f)])), validateInputOnBlur: true });
}

function varied(field: Field, texts: Texts): Field | null {
  if (!field.vary) return field;
  const difference = field.vary(texts);
  return difference && { ...field, ...difference };
}

/** Puts what the server said of single fields at those fields. */
export function showFieldErrors(form: FieldForm, fields: readonly Field[], error: ApiError): void {
  for (const { name } of fields) {
    const message = error.forField(name);
    if (message) form.setFieldError(name, message);
  }
}

/** A surface for fields, in one column on narrow screens and two on wide ones. */
export function Fields({ title, children }: { title?: string; children: React.ReactNode }) {
  return (
    <Panel title={title}>
      <div className={classes.grid}>{children}</div>
    </Panel>
  );
}

/** The inputs; the first one has the focus. */
export function FieldInputs({ form, fields }: { form: FieldForm; fields: readonly Field[] }) {
  const asked = fields.map((field) => varied(field, form.values)).filter((field) => field !== null);
  return asked.map((field, i) => (
    <div key={field.name} className={field.wide ? classes.wide : undefined}>
      <FieldInput form={form} field={field} first={i === 0} />
    </div>
  ));
}

const LINES: Partial<Record<FieldKind, number>> = { lines: 2, words: 3 };
const TYPES: Partial<Record<FieldKind, string>> = { email: "email", url: "url", moment: "datetime-local" };
/** What a person writes; the rest is not in a dictionary. */
const PROSE: readonly FieldKind[] = ["text", "lines"];

function FieldInput({ form, field, first }: { form: FieldForm; field: Field; first: boolean }) {
  const { t } = useLingui();
  const { name, label, placeholder, required = false, kind = "text", choices, picker: Picker } = field;
  const description = field.explain?.(form.values[name] ?? "") ?? field.description;
  const input = form.getInputProps(name);
  if (Picker)
    return <Picker label={label} description={description} value={form.values[name] ?? ""} error={input.error} onChange={(id) => form.setFieldValue(name, id ?? "")} />;
  const shared = { label, description, placeholder, required, ...input, ...(first ? { autoFocus: true, "data-autofocus": true } : {}) };
  if (choices) return <NativeSelect {...shared} data={[...choices]} />;
  if (kind === "password") return <PasswordInput {...shared} autoComplete="off" visibilityToggleButtonProps={{ "aria-label": t`Show or hide what is typed` }} />;
  const spelling = PROSE.includes(kind) ? {} : { spellCheck: false };
  const rows = LINES[kind];
  if (rows) return <Textarea {...shared} {...spelling} autosize minRows={rows} {...(kind === "words" ? { classNames: { input: "mono" } } : {})} />;
  return (
    <TextInput
      {...shared}
      {...spelling}
      type={TYPES[kind] ?? "text"}
      {...(kind === "moment" ? { step: 1 } : {})}
      {...(kind === "number" ? { inputMode: "numeric" as const } : {})}
    />
  );
}
