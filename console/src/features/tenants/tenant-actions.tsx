import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Menu } from "@mantine/core";
import { useMutation } from "@tanstack/react-query";
import { ChevronDown, CirclePause, CirclePlay, Download, MoveRight, Trash2 } from "lucide-react";
import { useState } from "react";
import type { Tenant } from "~/api/resources";
import { useCan } from "~/api/session";
import { eraseTenant, moveTenant, resumeTenant, suspendTenant } from "~/api/tenants";
import { asApiError } from "~/lib/problem";
import { Confirm } from "~/ui/confirm";
import { FieldDialog } from "~/ui/field-dialog";
import { toast } from "~/ui/toasts";
import { ExportDialog } from "./export-dialog";

interface TenantActionsProps {
  of: Tenant;
  place: string | undefined;
  /** Something changed, or goes on in the background. */
  onBegun(): void;
}

/** What the operator does with a tenant as a whole. */
export function TenantActions({ of, place, onBegun }: TenantActionsProps) {
  const { t } = useLingui();
  const canWrite = useCan("tenants:write");
  const canExecute = useCan("tenants:execute");
  const canDelete = useCan("tenants:delete");
  const [open, setOpen] = useState<"suspend" | "export" | "move" | "erase" | null>(null);
  const close = () => setOpen(null);
  const begun = () => {
    close();
    onBegun();
  };
  const resuming = useMutation({
    mutationFn: () => resumeTenant(of.id),
    onSuccess: onBegun,
    onError: (error) => toast(asApiError(error).message, { failed: true }),
  });
  return (
    <>
      {canWrite &&
        (of.status === "suspended" ? (
          <Button variant="default" leftSection={<CirclePlay size={15} />} loading={resuming.isPending} onClick={() => resuming.mutate()}>
            <Trans>Resume</Trans>
          </Button>
        ) : (
          <Button variant="default" leftSection={<CirclePause size={15} />} onClick={() => setOpen("suspend")}>
            <Trans>Suspend</Trans>
          </Button>
        ))}
      {(canExecute || canDelete) && (
        <Menu position="bottom-end" shadow="md">
          <Menu.Target>
            <Button variant="default" rightSection={<ChevronDown size={15} />}>
              <Trans>More</Trans>
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {canExecute && (
              <Menu.Item leftSection={<Download size={15} />} onClick={() => setOpen("export")}>
                <Trans>Export to a file</Trans>
              </Menu.Item>
            )}
            {canExecute && (
              <Menu.Item leftSection={<MoveRight size={15} />} onClick={() => setOpen("move")}>
                <Trans>Move to another place</Trans>
              </Menu.Item>
            )}
            {canDelete && (
              <Menu.Item c="var(--mantine-color-error)" leftSection={<Trash2 size={15} />} onClick={() => setOpen("erase")}>
                <Trans>Erase</Trans>
              </Menu.Item>
            )}
          </Menu.Dropdown>
        </Menu>
      )}
      <Confirm
        opened={open === "suspend"}
        onClose={close}
        title={t`Suspend ${of.name}?`}
        consequence={t`Its people, keys and devices are refused from now on, and its background work rests, until you resume it. Nothing is lost.`}
        submitLabel={t`Suspend`}
        run={() => suspendTenant(of.id)}
        onDone={begun}
      />
      <Confirm
        opened={open === "erase"}
        onClose={close}
        title={t`Erase ${of.name}?`}
        consequence={t`Its logs, metrics, files, records, history and keys are erased, and everybody who belongs to no other tenant. There is no recycle bin for tenants and no way back.`}
        submitLabel={t`Erase for good`}
        typed={of.slug}
        run={() => eraseTenant(of.id, of.slug)}
        onDone={begun}
      />
      {open === "export" && <ExportDialog of={of} onClose={close} />}
      {open === "move" && (
        <FieldDialog
          title={t`Move ${of.name}`}
          lead={<Trans>It is served meanwhile and keeps all that it has. It is in {place ?? "–"} now.</Trans>}
          submitLabel={t`Move`}
          fields={[{ name: "place", label: t`Place`, description: t`home, or a place that the settings of this installation name.`, kind: "code", required: true }]}
          send={({ place: to }) => moveTenant(of.id, to as string)}
          onClose={close}
          onDone={begun}
        />
      )}
    </>
  );
}
