import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Ban, Circle, CircleAlert, CircleCheck, CircleDot, RotateCcw, Undo2 } from "lucide-react";
import type { ReactNode } from "react";
import { Actor } from "~/api/parties";
import { cancelSaga, retrySaga, type Saga, type SagaState } from "~/api/sagas";
import { useCan } from "~/api/session";
import { asApiError } from "~/lib/problem";
import { shareOf, type Step, stepsOf } from "~/lib/saga-progress";
import { Panel } from "~/ui/page";
import { ProgressBar } from "~/ui/progress-bar";
import { StatusBadge } from "~/ui/status";
import { TimeAgo } from "~/ui/time-ago";
import { toast } from "~/ui/toasts";
import classes from "./tenants.module.css";

function useSagaTitle(): (saga: string) => string {
  const { t } = useLingui();
  const known: Record<string, string> = { create_tenant: t`Make the tenant`, import_tenant: t`Take the tenant in`, move_tenant: t`Move the tenant`, delete_tenant: t`Erase the tenant` };
  return (saga) => known[saga] ?? saga.replaceAll("_", " ");
}

function useStepTitle(): (step: string) => string {
  const { t } = useLingui();
  const known: Record<string, string> = {
    claim: t`Take the address`,
    provision: t`Make a place for its data`,
    open: t`Let requests in`,
    load: t`Write what the file holds`,
    settle: t`Find or make its people`,
    move: t`Copy everything and switch over`,
    close: t`Refuse requests`,
    let_go: t`Erase logs, metrics, files and mail`,
    erase: t`Erase records, history and keys`,
    forget: t`Erase its name and whoever belongs nowhere else`,
  };
  return (step) => known[step] ?? step.replaceAll("_", " ");
}

export function SagaBadge({ state }: { state: SagaState }) {
  const { t } = useLingui();
  if (state === "done") return <StatusBadge tone="green" icon={<CircleCheck size={13} />}>{t`Done`}</StatusBadge>;
  if (state === "running") return <StatusBadge tone="blue" icon={<CircleDot size={13} />}>{t`Running`}</StatusBadge>;
  if (state === "undoing") return <StatusBadge tone="yellow" icon={<Undo2 size={13} />}>{t`Taking back`}</StatusBadge>;
  if (state === "undone") return <StatusBadge tone="gray" icon={<Undo2 size={13} />}>{t`Taken back`}</StatusBadge>;
  return <StatusBadge tone="red" icon={<CircleAlert size={13} />}>{t`Stuck`}</StatusBadge>;
}

/** What goes on about a tenant in the background, step by step. */
export function SagaPanel({ saga }: { saga: Saga }) {
  const { t } = useLingui();
  const title = useSagaTitle()(saga.saga);
  const steps = stepsOf(saga);
  const share = shareOf(steps);
  const done = steps.filter((step) => step.state === "done").length;
  const running = saga.state === "running" || saga.state === "undoing";
  return (
    <Panel
      title={title}
      label={title}
      aside={
        <>
          {running && <ProgressBar share={share} label={t`Progress`} text={t`${done} of ${steps.length}`} />}
          <SagaBadge state={saga.state} />
          <SagaActions saga={saga} />
        </>
      }
    >
      <ol className={classes.steps}>
        {steps.map((step) => (
          <StepLine key={step.name} step={step} />
        ))}
      </ol>
      {saga.error && (
        <Text size="sm" mt="xs" c="var(--mantine-color-error)" role="alert">
          {saga.error}
        </Text>
      )}
      <Text size="xs" c="dimmed" mt="xs" component="div">
        <Trans>
          Begun by <Actor id={saga.created_by} /> <TimeAgo value={saga.created_at} />
        </Trans>
      </Text>
    </Panel>
  );
}

function StepLine({ step }: { step: Step }) {
  const { t } = useLingui();
  const title = useStepTitle()(step.name);
  const states: Record<Step["state"], [ReactNode, string]> = {
    waiting: [<Circle key="waiting" size={15} aria-hidden />, t`waits`],
    begun: [<CircleDot key="begun" size={15} aria-hidden />, t`under way`],
    done: [<CircleCheck key="done" size={15} aria-hidden />, t`done`],
    undone: [<Undo2 key="undone" size={15} aria-hidden />, t`taken back`],
  };
  const [icon, state] = states[step.state];
  return (
    <li data-state={step.state}>
      {icon}
      <span>
        {title}{" "}
        <Text span size="xs" c="dimmed">
          {state}
        </Text>
      </span>
      {step.error && <span className={classes.error}>{step.error}</span>}
    </li>
  );
}

/** Nothing of a deletion comes back, so it is not called off. */
function SagaActions({ saga }: { saga: Saga }) {
  const queries = useQueryClient();
  const canExecute = useCan("sagas:execute");
  const act = useMutation({
    mutationFn: (what: (id: string) => Promise<void>) => what(saga.id),
    onSettled: () => queries.invalidateQueries({ queryKey: ["sagas"] }),
    onError: (error) => toast(asApiError(error).message, { failed: true }),
  });
  if (!canExecute) return null;
  if (saga.state === "running" && saga.saga !== "delete_tenant")
    return (
      <Button size="compact-sm" variant="default" leftSection={<Ban size={13} />} loading={act.isPending} onClick={() => act.mutate(cancelSaga)}>
        <Trans>Call off</Trans>
      </Button>
    );
  if (saga.state === "parked")
    return (
      <Button size="compact-sm" variant="default" leftSection={<RotateCcw size={13} />} loading={act.isPending} onClick={() => act.mutate(retrySaga)}>
        <Trans>Try again</Trans>
      </Button>
    );
  return null;
}
