import type { QueryClient } from "@tanstack/react-query";
import { createRouter } from "@tanstack/react-router";
import { parseSearch, stringifySearch } from "~/lib/search";
import { RouteFault } from "./shell/faults";
import { Pending } from "./shell/pending";
import { routeTree } from "./tree";

export function makeRouter(queries: QueryClient) {
  return createRouter({
    routeTree,
    basepath: "/console",
    context: { queries },
    parseSearch,
    stringifySearch,
    defaultPreload: "intent",
    // The query cache decides what is fresh, not the router.
    defaultPreloadStaleTime: 0,
    defaultPendingComponent: Pending,
    defaultErrorComponent: RouteFault,
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
