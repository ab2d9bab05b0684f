/** The one registry of keyboard shortcuts: what the sheet shows is what is bound. */
export interface Shortcut {
  /** Space-separated sequence, each a `KeyboardEvent.key`: `g d`, `/`, `?`. */
  keys: string;
  label: string;
  group: string;
  run(): void;
}

const SEQUENCE_MS = 1200;

export class KeyRegistry {
  #shortcuts = new Map<string, Shortcut[]>();
  #pressed: string[] = [];
  #last = 0;
  #listeners = new Set<() => void>();
  #snapshot: readonly Shortcut[] = [];

  /** Later registrations win while they live. Returns the way to remove it. */
  add(shortcut: Shortcut): () => void {
    const stack = this.#shortcuts.get(shortcut.keys) ?? [];
    this.#shortcuts.set(shortcut.keys, [...stack, shortcut]);
    this.#changed();
    return () => {
      const rest = (this.#shortcuts.get(shortcut.keys) ?? []).filter((s) => s !== shortcut);
      if (rest.length > 0) this.#shortcuts.set(shortcut.keys, rest);
      else this.#shortcuts.delete(shortcut.keys);
      this.#changed();
    };
  }

  /** Feeds one key; true when it belonged to a shortcut or to the beginning of one. */
  press(key: string, now: number): boolean {
    if (now - this.#last > SEQUENCE_MS) this.#pressed = [];
    this.#last = now;
    for (const attempt of [[...this.#pressed, key], [key]]) {
      const text = attempt.join(" ");
      const found = this.#shortcuts.get(text)?.at(-1);
      if (found) {
        this.#pressed = [];
        found.run();
        return true;
      }
      if ([...this.#shortcuts.keys()].some((k) => k.startsWith(`${text} `))) {
        this.#pressed = attempt;
        return true;
      }
    }
    this.#pressed = [];
    return false;
  }

  list(): readonly Shortcut[] {
    return this.#snapshot;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #changed(): void {
    this.#snapshot = [...this.#shortcuts.values()].flatMap((stack) => stack.slice(-1));
    for (const listener of this.#listeners) listener();
  }
}

/** Shortcuts are off while typing, in dialogs and with modifier keys held. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(target.tagName) || target.closest("[role=dialog]") !== null;
}
