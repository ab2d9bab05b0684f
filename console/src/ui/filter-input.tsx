import { useLingui } from "@lingui/react/macro";
import { CloseButton, TextInput } from "@mantine/core";
import { ListFilter } from "lucide-react";
import { type ReactNode, useRef, useState } from "react";
import type { ApiError } from "~/lib/problem";
import { useShortcut } from "./shortcuts";

interface FilterInputProps {
  value: string;
  onChange(value: string): void;
  placeholder: string;
  label: string;
  /** The refusal of the last request, shown here when it is about the filter. */
  error?: ApiError | null;
  icon?: ReactNode;
  className?: string;
}

/** True when a refusal is about the filter's text, so it belongs to the input and not to the page. */
export function isFilterError(error: ApiError | null | undefined): boolean {
  return error?.status === 400 || error?.status === 422 ? error.code.startsWith("filter") : false;
}

/** Filter text in the common grammar. It applies on Enter or on leaving the field, as half a condition is no condition. */
export function FilterInput({ value, onChange, placeholder, label, error, icon, className }: FilterInputProps) {
  const { t } = useLingui();
  const input = useRef<HTMLInputElement>(null);
  const [draft, setDraft] = useState({ from: value, text: value });
  const text = draft.from === value ? draft.text : value;
  useShortcut({ keys: "/", label: t`Go to the filter`, group: t`Lists`, run: () => input.current?.focus() });
  const set = (next: string) => setDraft({ from: value, text: next });
  const apply = (next: string) => {
    if (next.trim() !== value) onChange(next.trim());
  };
  const clear = () => {
    set("");
    apply("");
    input.current?.focus();
  };
  const message = isFilterError(error) ? (error?.fields[0]?.detail ?? error?.detail ?? error?.message) : undefined;
  return (
    <TextInput
      ref={input}
      {...(className ? { className } : {})}
      aria-label={label}
      placeholder={placeholder}
      value={text}
      error={message}
      spellCheck={false}
      autoComplete="off"
      leftSection={icon ?? <ListFilter size={15} aria-hidden />}
      rightSection={text ? <CloseButton size="sm" aria-label={t`Clear filter`} onClick={clear} /> : undefined}
      onChange={(event) => set(event.currentTarget.value)}
      onBlur={() => apply(text)}
      onKeyDown={(event) => {
        if (event.key === "Enter") apply(text);
        if (event.key === "Escape") event.currentTarget.blur();
      }}
    />
  );
}
