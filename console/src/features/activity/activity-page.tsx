import { Trans, useLingui } from "@lingui/react/macro";
import { Anchor, Code, Modal, Stack } from "@mantine/core";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { Activity } from "lucide-react";
import { Fragment, useState } from "react";
import { type Event, eventsQuery } from "~/api/events";
import { Actor, Subject } from "~/api/parties";
import { formatDateTime } from "~/lib/format";
import { CopyButton } from "~/ui/copy";
import { type Column, DataTable } from "~/ui/data-table";
import { Facts, Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { useTableView } from "~/ui/table-view";
import { TimeAgo } from "~/ui/time-ago";

export default function ActivityPage() {
  const { t } = useLingui();
  const view = useTableView();
  const query = useInfiniteQuery({ ...eventsQuery(view.filter || undefined), placeholderData: keepPreviousData });
  const [open, setOpen] = useState<Event | null>(null);
  const columns: Column<Event>[] = [
    { id: "time", header: t`When`, cell: (e) => <TimeAgo value={e.time} /> },
    {
      id: "type",
      header: t`What`,
      cell: (e) => (
        <Anchor component="button" type="button" className="target" inherit fw={500} ta="left" onClick={() => setOpen(e)}>
          <EventType type={e.type} />
        </Anchor>
      ),
    },
    { id: "subject", header: t`About`, cell: (e) => <Subject event={e} /> },
    { id: "actor", header: t`By`, wide: true, cell: (e) => <Actor id={e.actor} /> },
    { id: "ip", header: t`From`, optional: true, cell: (e) => <span className="mono">{origin(e, "ip") ?? "–"}</span> },
    { id: "position", header: t`Position`, numeric: true, wide: true, cell: (e) => e.position },
  ];
  return (
    <Page title={t`Activity`} summary={t`Everything that changed in this tenant, in order and with who did it.`}>
      <DataTable
        label={t`Activity`}
        query={query}
        columns={columns}
        rowKey={(e) => e.id}
        view={view}
        filterExample={`type:"device" AND time > now-1h`}
        empty={
          <EmptyState
            icon={<Activity size={26} />}
            title={t`Nothing has happened yet`}
            command={`curl -H "Authorization: Bearer $STEWARD_KEY" ${window.location.origin}/api/v1/events`}
          >
            <Trans>Each change is an event: who did what, when, and what it was before.</Trans>
          </EmptyState>
        }
      />
      {open && <EventDialog event={open} onClose={() => setOpen(null)} />}
    </Page>
  );
}

/** Broken between its words where it has to be broken. */
function EventType({ type }: { type: string }) {
  return (
    <span className="mono words">
      {type.split(/(?<=[._])/).map((word, i) => (
        <Fragment key={i}>
          {i > 0 && <wbr />}
          {word}
        </Fragment>
      ))}
    </span>
  );
}

function origin(event: Event, key: string): string | null {
  const value: unknown = (event.origin as Record<string, unknown> | null | undefined)?.[key];
  return typeof value === "string" ? value : null;
}

function EventDialog({ event, onClose }: { event: Event; onClose(): void }) {
  const { t, i18n } = useLingui();
  const json = JSON.stringify(event.data ?? {}, null, 2);
  return (
    <Modal opened onClose={onClose} title={<EventType type={event.type} />} size="lg" closeButtonProps={{ "aria-label": t`Close` }}>
      <Stack gap="md">
        <Facts
          items={[
            [t`When`, formatDateTime(Date.parse(event.time), i18n.locale)],
            [t`Position`, event.position],
            [t`About`, <Subject key="subject" event={event} />],
            [t`Id`, <span key="id" className="mono">{event.subject}</span>],
            [t`By`, <Actor key="actor" id={event.actor} />],
            [t`From`, origin(event, "ip")],
            [t`Browser or program`, origin(event, "user_agent")],
            [t`Trace`, event.trace_id && <span className="mono">{event.trace_id}</span>],
          ]}
        />
        <div>
          <Code block tabIndex={0} aria-label={t`Changed fields`}>
            {json}
          </Code>
          <CopyButton value={json} />
        </div>
      </Stack>
    </Modal>
  );
}
