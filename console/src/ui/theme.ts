import { createTheme, type CSSVariablesResolver, type MantineColorsTuple } from "@mantine/core";

const iris: MantineColorsTuple = ["#eef1fd", "#dde2fb", "#bac4f7", "#9dabf4", "#8093f0", "#6579ea", "#4f62dd", "#3d4fc4", "#3342a6", "#28357f"];
const gray: MantineColorsTuple = ["#f7f8fa", "#eff1f4", "#e3e6eb", "#d0d5dd", "#a8b0bd", "#7b8594", "#5a6371", "#434b57", "#2d333c", "#1a1d23"];
const dark: MantineColorsTuple = ["#e4e7ec", "#c5cad3", "#a3abb8", "#8b94a3", "#3a414d", "#2b313b", "#20252d", "#15181e", "#101318", "#0b0d11"];
const green: MantineColorsTuple = ["#e8f7ee", "#d0eedd", "#a3dfbb", "#6fcb95", "#44b874", "#2aa05d", "#1d854b", "#166c3d", "#115632", "#0b4026"];
const yellow: MantineColorsTuple = ["#fef5df", "#fcebc0", "#f8d98c", "#f1c355", "#e7ad2c", "#cc9213", "#a67408", "#855c06", "#6a4a07", "#4e3706"];
const red: MantineColorsTuple = ["#fdeeed", "#fbdbd9", "#f5b8b4", "#ef918b", "#e66e67", "#dc4f48", "#c83a34", "#ab2c28", "#8a2320", "#661a18"];
const blue: MantineColorsTuple = ["#e8f3fc", "#d0e5f8", "#a3cbf0", "#74b0e7", "#4d98de", "#317fca", "#2569ae", "#1d558f", "#174473", "#113356"];

const COLORS = ["iris", "gray", "green", "yellow", "red", "blue"] as const;

export const theme = createTheme({
  primaryColor: "iris",
  primaryShade: { light: 7, dark: 6 },
  colors: { iris, gray, dark, green, yellow, red, blue },
  white: "#ffffff",
  black: "#1a1d23",
  fontFamily: '"Inter Variable", system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, "DejaVu Sans Mono", monospace',
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.125rem" },
  lineHeights: { xs: "1.35", sm: "1.4", md: "1.5", lg: "1.5", xl: "1.4" },
  spacing: { xs: "0.5rem", sm: "0.75rem", md: "1rem", lg: "1.5rem", xl: "2rem" },
  defaultRadius: "sm",
  radius: { xs: "3px", sm: "6px", md: "8px", lg: "12px", xl: "16px" },
  headings: { fontWeight: "600", sizes: { h1: { fontSize: "1.25rem", lineHeight: "1.3" }, h2: { fontSize: "0.9375rem", lineHeight: "1.4" }, h3: { fontSize: "0.875rem", lineHeight: "1.4" } } },
  cursorType: "pointer",
  respectReducedMotion: true,
  focusRing: "auto",
  components: {
    Button: { defaultProps: { size: "sm" } },
    TextInput: { defaultProps: { size: "sm" } },
    PasswordInput: { defaultProps: { size: "sm" } },
    Textarea: { defaultProps: { size: "sm" } },
    Select: { defaultProps: { size: "sm", nothingFoundMessage: "–" } },
    NativeSelect: { defaultProps: { size: "sm" } },
    InputWrapper: { defaultProps: { inputWrapperOrder: ["label", "input", "description", "error"] } },
    ActionIcon: { defaultProps: { variant: "subtle", color: "gray", size: 30 } },
    // Inside the page, so that it lies in a landmark; without the focus stop that is no menu item.
    Menu: { defaultProps: { withinPortal: false, withInitialFocusPlaceholder: false } },
    Tooltip: { defaultProps: { openDelay: 350, events: { hover: true, focus: true, touch: false } } },
    Modal: { defaultProps: { centered: true, radius: "md", overlayProps: { backgroundOpacity: 0.5 }, transitionProps: { duration: 120 } } },
    // A dialog is not a sectioning element, so its header would count as a second banner of the page.
    ModalHeader: { defaultProps: { role: "presentation" } },
    Badge: { defaultProps: { variant: "light", radius: "sm", tt: "none", fw: 500 } },
    Anchor: { defaultProps: { underline: "hover" } },
  },
});

/**
 * Mantine's own secondary colours miss WCAG 2.2 AA in several places (dimmed and placeholder text, field errors, text on light
 * badges and buttons). These replace them; the `--s-*` variables are the console's own surfaces and lines.
 */
export const cssVariables: CSSVariablesResolver = (t) => {
  const tone = (text: number, alpha: string | null) =>
    Object.fromEntries(
      COLORS.flatMap((c) => {
        const base = `--mantine-color-${c}`;
        const shade = (i: number) => t.colors[c]?.[i] ?? "";
        const tint = (percent: string) => `color-mix(in srgb, ${shade(4)} ${percent}, transparent)`;
        return [
          [`${base}-light-color`, shade(text)],
          [`${base}-light`, alpha ? tint(alpha) : shade(0)],
          [`${base}-light-hover`, alpha ? tint("24%") : shade(1)],
          [`${base}-text`, shade(text)],
          [`${base}-outline`, shade(text)],
        ];
      }),
    );
  return {
    variables: { "--s-row": "34px", "--s-head": "52px" },
    light: {
      ...tone(8, null),
      "--mantine-color-body": "#ffffff",
      "--mantine-color-text": "#1a1d23",
      "--mantine-color-dimmed": "#5a6371",
      "--mantine-color-placeholder": "#656f7d",
      "--mantine-color-error": "#ab2c28",
      "--mantine-color-anchor": "#3342a6",
      "--mantine-color-default-border": "#d0d5dd",
      "--s-canvas": "#f7f8fa",
      "--s-panel": "#ffffff",
      "--s-sunken": "#f2f4f7",
      "--s-hover": "#eef0f4",
      "--s-line": "#e3e6eb",
      "--s-selected": "#eef1fd",
      "--s-selected-text": "#28357f",
      "--s-1": "#3d4fc4",
      "--s-2": "#0f8a83",
      "--s-3": "#a6660b",
      "--s-4": "#9a3fa8",
      "--s-5": "#2569ae",
      "--s-6": "#5f7d15",
      "--s-track": "#e6e9ee",
      "--s-trace": "#aeb6c2",
      "--s-debug": "#8d97a6",
      "--s-info": "#5f86c9",
      "--s-warn": "#d69a1e",
      "--s-error": "#d4473f",
      "--s-critical": "#8f1d4f",
    },
    dark: {
      ...tone(2, "15%"),
      "--mantine-color-body": "#15181e",
      "--mantine-color-text": "#e4e7ec",
      "--mantine-color-dimmed": "#a3abb8",
      "--mantine-color-placeholder": "#949dab",
      "--mantine-color-error": "#f5a09a",
      "--mantine-color-anchor": "#9dabf4",
      "--mantine-color-default-border": "#3a414d",
      "--s-canvas": "#101318",
      "--s-panel": "#15181e",
      "--s-sunken": "#1b1f26",
      "--s-hover": "#20252d",
      "--s-line": "#272c35",
      "--s-selected": "#23294a",
      "--s-selected-text": "#dde2fb",
      "--s-1": "#8093f0",
      "--s-2": "#3fc1b5",
      "--s-3": "#e0a04a",
      "--s-4": "#cf86dc",
      "--s-5": "#74b0e7",
      "--s-6": "#a8c65a",
      "--s-track": "#2b313b",
      "--s-trace": "#4d5663",
      "--s-debug": "#687282",
      "--s-info": "#6d93d6",
      "--s-warn": "#d9a437",
      "--s-error": "#e2605a",
      "--s-critical": "#e05a9b",
    },
  };
};
