/** The steps of the sagas that people begin, in their order: what is stored names only those that were begun, in no order. */
const STEPS: Record<string, readonly string[]> = {
  create_tenant: ["claim", "provision", "open"],
  import_tenant: ["claim", "load", "settle", "open"],
  move_tenant: ["move"],
  delete_tenant: ["close", "let_go", "erase", "forget"],
};

type StepState = "waiting" | "begun" | "done" | "undone";

interface Run {
  saga: string;
  steps?: Record<string, { state: StepState; failures?: number; error?: string | null }>;
}

export interface Step {
  name: string;
  state: StepState;
  /** Why it failed last, while it is tried again or given up. */
  error: string | null;
}

/** The steps of a saga as far as they are known, in order. */
export function stepsOf({ saga, steps = {} }: Run): Step[] {
  const names = [...new Set([...(STEPS[saga] ?? []), ...Object.keys(steps)])];
  return names.map((name) => {
    const { state = "waiting", error = null } = steps[name] ?? {};
    return { name, state, error: state === "done" ? null : error };
  });
}

/** How much of it is done, from 0 to 1. */
export function shareOf(steps: readonly Step[]): number {
  return steps.length === 0 ? 0 : steps.filter((step) => step.state === "done").length / steps.length;
}
