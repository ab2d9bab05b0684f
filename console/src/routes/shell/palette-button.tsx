import { useLingui } from "@lingui/react/macro";
import { Kbd, UnstyledButton } from "@mantine/core";
import { useHotkeys } from "@mantine/hooks";
import { Search } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useShortcut } from "~/ui/shortcuts";
import classes from "./shell.module.css";

const Palette = lazy(() => import("./palette"));
const MAC = /Mac|iPhone|iPad/.test(navigator.userAgent);

/** Opens the command palette, which is loaded at its first use. */
export function PaletteButton({ tenant }: { tenant: string }) {
  const { t } = useLingui();
  const [opened, setOpened] = useState(false);
  const keys = MAC ? "⌘ K" : "Ctrl K";
  useHotkeys([["mod+K", () => setOpened(true)]], []);
  // On a page with a filter of its own that key leads there.
  useShortcut({ keys: "/", label: t`Search`, group: t`General`, run: () => setOpened(true) });
  return (
    <>
      <UnstyledButton className={classes.search ?? ""} onClick={() => setOpened(true)} aria-keyshortcuts="Control+K Meta+K /">
        <Search size={15} aria-hidden />
        <span className={classes.searchLabel}>{t`Search`}</span>
        <Kbd size="xs" className={classes.searchKeys ?? ""}>
          {keys}
        </Kbd>
      </UnstyledButton>
      <Suspense fallback={null}>{opened && <Palette tenant={tenant} onClose={() => setOpened(false)} />}</Suspense>
    </>
  );
}
