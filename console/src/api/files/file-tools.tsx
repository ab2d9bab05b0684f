import { useLingui } from "@lingui/react/macro";
import { ActionIcon, Menu, Tooltip } from "@mantine/core";
import { Download, Upload } from "lucide-react";
import { IconLink } from "~/ui/links";
import type { Collected } from "../collections";
import { KINDS } from "../kinds";
import { useCan, useSession } from "../session";
import { IMPORTED, type Imported } from "./imports";

const FORMATS = [
  { format: "csv", label: "CSV" },
  { format: "ndjson", label: "NDJSON" },
] as const;

function isImported(kind: Collected): kind is Imported {
  return (IMPORTED as readonly string[]).includes(kind);
}

/** Takes the filtered list home as a file, all of it, and brings records in from one. */
export function FileTools({ kind, filter }: { kind: Collected; filter: string | undefined }) {
  const { t } = useLingui();
  const { tenant } = useSession();
  const { resource } = KINDS[kind];
  const canWrite = useCan(`${resource}:write`);
  const href = (format: string) => `/api/v1/${resource}/export?${new URLSearchParams({ format, ...(filter ? { filter } : {}) }).toString()}`;
  return (
    <>
      <Menu position="bottom-end">
        <Menu.Target>
          <Tooltip label={t`Export`}>
            <ActionIcon variant="default" size={34} aria-label={t`Export`}>
              <Download size={16} />
            </ActionIcon>
          </Tooltip>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Label>{filter ? t`What the filter leaves` : t`All of the list`}</Menu.Label>
          {FORMATS.map(({ format, label }) => (
            <Menu.Item key={format} component="a" href={href(format)} download>
              {label}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      {canWrite && isImported(kind) && (
        <Tooltip label={t`Import`}>
          <IconLink to="/$tenant/import" params={{ tenant: tenant.slug }} search={{ of: kind }} variant="default" size={34} aria-label={t`Import`}>
            <Upload size={16} />
          </IconLink>
        </Tooltip>
      )}
    </>
  );
}
