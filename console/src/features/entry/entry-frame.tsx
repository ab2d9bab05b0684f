import { useLingui } from "@lingui/react/macro";
import { NativeSelect, Text, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { ReactNode } from "react";
import { chooseLocale, LOCALES } from "~/lib/i18n";
import { Mark } from "~/ui/mark";
import classes from "./entry.module.css";

/** The frame of the pages one sees before being signed in. */
export function EntryFrame({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  const { t, i18n } = useLingui();
  useDocumentTitle(`${title} · Steward`);
  return (
    <main className={classes.frame}>
      <div className={classes.card}>
        <div className={classes.brand}>
          <Mark size={26} />
          <span>Steward</span>
        </div>
        <Title order={1}>{title}</Title>
        {lead && (
          <Text c="dimmed" size="sm" component="div">
            {lead}
          </Text>
        )}
        {children}
      </div>
      <NativeSelect
        className={classes.locale ?? ""}
        size="xs"
        variant="unstyled"
        aria-label={t`Language`}
        value={i18n.locale in LOCALES ? i18n.locale : "en"}
        data={Object.entries(LOCALES).map(([value, label]) => ({ value, label }))}
        onChange={(event) => void chooseLocale(event.currentTarget.value)}
      />
    </main>
  );
}
