import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Text } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { Circle, CircleCheck } from "lucide-react";
import { type ReactNode, useState } from "react";
import { apiKeys, organizations, services } from "~/api/resources";
import { recall, remember } from "~/lib/storage";
import { TextLink } from "~/ui/links";
import { Panel } from "~/ui/page";
import classes from "./overview.module.css";
import { useDevices, useLogCounts } from "./use-facts";

const KEY = "steward-checklist-hidden";

/** The way to a working tenant. It ticks itself off and goes away when it is done or hidden. */
export function Checklist() {
  const { t } = useLingui();
  const { tenant } = useParams({ from: "/$tenant/" });
  const [hidden, setHidden] = useState(() => recall(KEY) === tenant);
  const devices = useDevices();
  const logs = useLogCounts();
  const one = { limit: 1 };
  const some = (query: { data: { pages: { data: unknown[] }[] } | undefined }) => (query.data?.pages[0]?.data.length ?? 0) > 0;
  const organization = useInfiniteQuery(organizations.list(one));
  const service = useInfiniteQuery(services.list(one));
  const key = useInfiniteQuery(apiKeys.list(one));
  const params = { tenant };
  const steps: { done: boolean; text: ReactNode }[] = [
    { done: true, text: <Trans>Create the owner and the tenant</Trans> },
    {
      done: devices.rows.length > 0,
      text: (
        <TextLink to="/$tenant/devices/add" params={params} className="target" inherit>
          <Trans>Let a device report</Trans>
        </TextLink>
      ),
    },
    {
      done: (logs.data?.total ?? 0) > 0,
      text: (
        <TextLink to="/$tenant/logs" params={params} search={{ live: "1" }} className="target" inherit>
          <Trans>See log lines arrive</Trans>
        </TextLink>
      ),
    },
    {
      done: some(organization),
      text: (
        <TextLink to="/$tenant/organizations/new" params={params} className="target" inherit>
          <Trans>Add the first organization</Trans>
        </TextLink>
      ),
    },
    {
      done: some(service),
      text: (
        <TextLink to="/$tenant/projects" params={params} className="target" inherit>
          <Trans>Describe a project and a service of it</Trans>
        </TextLink>
      ),
    },
    {
      done: some(key),
      text: (
        <TextLink to="/$tenant/api-keys" params={params} className="target" inherit>
          <Trans>Create an API key</Trans>
        </TextLink>
      ),
    },
  ];
  const done = steps.filter((s) => s.done).length;
  if (hidden || done === steps.length) return null;
  const hide = () => {
    remember(KEY, tenant);
    setHidden(true);
  };
  return (
    <Panel title={t`First steps`} aside={<Trans>{done} of {steps.length}</Trans>}>
      <ul className={classes.steps}>
        {steps.map((step, i) => (
          <li key={i} data-done={step.done || undefined}>
            {step.done ? <CircleCheck size={17} aria-label={t`Done`} /> : <Circle size={17} aria-label={t`To do`} />}
            {step.text}
          </li>
        ))}
      </ul>
      <Button variant="subtle" color="gray" size="xs" onClick={hide} mt="xs" ml={-8}>
        <Trans>Hide this</Trans>
      </Button>
      <Text size="xs" c="dimmed" mt={4}>
        <Trans>Press ? for keyboard shortcuts and Ctrl or ⌘ K to find anything.</Trans>
      </Text>
    </Panel>
  );
}
