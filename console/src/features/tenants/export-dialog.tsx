import { Trans, useLingui } from "@lingui/react/macro";
import { useState } from "react";
import type { Tenant } from "~/api/resources";
import { exportTenant } from "~/api/tenants";
import { formatBytes } from "~/lib/format";
import { saveFile } from "~/lib/save-file";
import { FieldDialog } from "~/ui/field-dialog";
import { toast } from "~/ui/toasts";

const LEAST_PASSPHRASE = 12;

/** A tenant as one file, sealed under a passphrase. */
export function ExportDialog({ of, onClose }: { of: Tenant; onClose(): void }) {
  const { t, i18n } = useLingui();
  const [received, setReceived] = useState<number | null>(null);
  const long = (text: string) => (text.length >= LEAST_PASSPHRASE ? null : t`At least ${LEAST_PASSPHRASE} characters.`);
  const choices = [
    { value: "", label: t`Leave them out` },
    { value: "yes", label: t`Take them along` },
  ];
  return (
    <FieldDialog
      title={t`Export ${of.name}`}
      lead={
        received === null ? (
          <Trans>Everything but logs and metrics, as one sealed file that another installation can take in. Suspend the tenant first if nothing may be written behind the file.</Trans>
        ) : (
          <span role="status">
            <Trans>{formatBytes(received, i18n.locale)} so far. Keep this page open until the file is complete.</Trans>
          </span>
        )
      }
      submitLabel={t`Export`}
      fields={[
        { name: "passphrase", label: t`Passphrase`, description: t`Whoever has it and the file reads everything in it. Without it the file is of no use.`, kind: "password", required: true, validate: long },
        { name: "passwords", label: t`Passwords of its people`, description: t`Take them along only to an installation of your own: whoever opens the file can guess at them.`, kind: "choice", choices, toValue: (text) => text === "yes" },
      ]}
      send={({ passphrase, passwords }) => exportTenant(of.id, { passphrase: passphrase as string, passwords: passwords === true }, setReceived)}
      onClose={onClose}
      onDone={(file) => {
        saveFile(file, `${of.slug}.steward-tenant`);
        toast(t`${of.name} is exported`);
        onClose();
      }}
    />
  );
}
