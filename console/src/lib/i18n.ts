import { i18n } from "@lingui/core";
import { recall, remember } from "./storage";

export const LOCALES: Record<string, string> = { en: "English", de: "Deutsch" };
const KEY = "steward-locale";

const catalogs: Record<string, () => Promise<{ messages: Record<string, string> }>> = {
  en: () => import("~/locales/en.po"),
  de: () => import("~/locales/de.po"),
  // Not offered in the menu; reached by setting the stored locale, to find strings that were not extracted.
  pseudo: () => import("~/locales/pseudo.po"),
};

export function preferredLocale(): string {
  const stored = recall(KEY);
  if (stored && stored in catalogs) return stored;
  const wanted = navigator.languages.map((l) => l.slice(0, 2));
  return wanted.find((l) => l in LOCALES) ?? "en";
}

export async function activateLocale(locale: string): Promise<void> {
  const load = catalogs[locale] ?? catalogs.en;
  if (!load) return;
  const { messages } = await load();
  i18n.loadAndActivate({ locale, messages });
  document.documentElement.lang = locale === "pseudo" ? "en" : locale;
}

export async function chooseLocale(locale: string): Promise<void> {
  remember(KEY, locale);
  await activateLocale(locale);
}
