import { useLingui } from "@lingui/react/macro";
import { ActionIcon, Tooltip } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import { Check, Copy } from "lucide-react";
import classes from "./copy.module.css";

export function CopyButton({ value, label }: { value: string; label?: string }) {
  const { t } = useLingui();
  const { copied, copy } = useClipboard({ timeout: 1500 });
  const text = copied ? t`Copied` : (label ?? t`Copy`);
  return (
    <Tooltip label={text}>
      <ActionIcon aria-label={text} onClick={() => copy(value)} size={28} color={copied ? "green" : "gray"}>
        {copied ? <Check size={15} /> : <Copy size={15} />}
      </ActionIcon>
    </Tooltip>
  );
}

/** A command or a secret on its own line, with a copy button. */
export function CodeLine({ value, label }: { value: string; label: string }) {
  return (
    <div className={classes.line}>
      <code className={classes.code} tabIndex={0} aria-label={label} role="group">
        {value}
      </code>
      <CopyButton value={value} />
    </div>
  );
}
