import "./ui/styles";
import { i18n } from "@lingui/core";
import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { sessionQuery } from "./api/session";
import { activateLocale, preferredLocale } from "./lib/i18n";
import { ApiError } from "./lib/problem";
import { makeRouter } from "./routes/router";
import { ShortcutProvider } from "./ui/shortcuts";
import { cssVariables, theme } from "./ui/theme";
import { Toasts } from "./ui/toasts";

const MAX_RETRIES = 1;

/** A refused credential means that the session has ended; the tenant shell then leads to sign-in. */
function onError(error: Error) {
  if (error instanceof ApiError && error.status === 401) queries.setQueryData(sessionQuery.queryKey, null);
}

const queries = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError: (error, _variables, _result, mutation) => (mutation.options.meta?.signsIn ? undefined : onError(error)) }),
  defaultOptions: {
    queries: {
      staleTime: 5000,
      // Only what may pass by itself is asked again.
      retry: (count, error) => count < MAX_RETRIES && error instanceof ApiError && (error.status === 0 || error.status >= 500),
    },
  },
});

const router = makeRouter(queries);

async function start(): Promise<void> {
  const root = document.getElementById("root");
  if (!root) return;
  await activateLocale(preferredLocale());
  createRoot(root).render(
    <StrictMode>
      <I18nProvider i18n={i18n}>
        <MantineProvider theme={theme} cssVariablesResolver={cssVariables} defaultColorScheme="auto">
          <QueryClientProvider client={queries}>
            <ShortcutProvider>
              <Toasts />
              <RouterProvider router={router} />
            </ShortcutProvider>
          </QueryClientProvider>
        </MantineProvider>
      </I18nProvider>
    </StrictMode>,
  );
}

void start();
