import { Trans, useLingui } from "@lingui/react/macro";
import { Kbd, Modal, Text } from "@mantine/core";
import { createContext, type ReactNode, useContext, useEffect, useEffectEvent, useState, useSyncExternalStore } from "react";
import { isTyping, KeyRegistry, type Shortcut } from "~/lib/keys";
import classes from "./shortcuts.module.css";

const Registry = createContext(new KeyRegistry());

/** Binds the registry to the page and offers its sheet under `?`. */
export function ShortcutProvider({ children }: { children: ReactNode }) {
  const [registry] = useState(() => new KeyRegistry());
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      if (registry.press(event.key, event.timeStamp)) event.preventDefault();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [registry]);
  return (
    <Registry value={registry}>
      {children}
      <ShortcutSheet />
    </Registry>
  );
}

/** Registers a shortcut while the calling component is mounted. */
export function useShortcut({ keys, label, group, run }: Shortcut): void {
  const registry = useContext(Registry);
  const latest = useEffectEvent(run);
  useEffect(() => registry.add({ keys, label, group, run: () => latest() }), [registry, keys, label, group]);
}

function ShortcutSheet() {
  const { t } = useLingui();
  const registry = useContext(Registry);
  const shortcuts = useSyncExternalStore(
    (listener) => registry.subscribe(listener),
    () => registry.list(),
  );
  const [opened, setOpened] = useState(false);
  useShortcut({ keys: "?", label: t`Show keyboard shortcuts`, group: t`General`, run: () => setOpened(true) });
  const groups = [...new Set(shortcuts.map((s) => s.group))];
  return (
    <Modal opened={opened} onClose={() => setOpened(false)} title={t`Keyboard shortcuts`} closeButtonProps={{ "aria-label": t`Close` }} size="md">
      {groups.map((group) => (
        <section key={group} className={classes.group}>
          <Text size="xs" fw={600} c="dimmed" component="h3">
            {group}
          </Text>
          <dl className={classes.list}>
            {shortcuts
              .filter((s) => s.group === group)
              .map((s) => (
                <div key={s.keys} className={classes.row}>
                  <dt>{s.label}</dt>
                  <dd>
                    <Keys keys={s.keys} />
                  </dd>
                </div>
              ))}
          </dl>
        </section>
      ))}
      <Text size="xs" c="dimmed">
        <Trans>Shortcuts rest while you type.</Trans>
      </Text>
    </Modal>
  );
}

export function Keys({ keys }: { keys: string }) {
  return (
    <span className={classes.keys}>
      {keys.split(" ").map((key, i) => (
        <Kbd key={i} size="xs">
          {key}
        </Kbd>
      ))}
    </span>
  );
}
