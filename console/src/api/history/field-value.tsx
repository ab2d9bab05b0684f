import { useLingui } from "@lingui/react/macro";
import { formatDateTime } from "~/lib/format";
import { kindOf } from "../kinds";
import { RecordName } from "../names";

const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d/;
const ID = /^[a-z]{3}_[0-9a-z]{26}$/;

/** A field's value as people read it. */
export function FieldValue({ value }: { value: unknown }) {
  const { t, i18n } = useLingui();
  if (value === null || value === undefined || value === "") return <em>{t`nothing`}</em>;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return <>{value.join(", ") || <em>{t`nothing`}</em>}</>;
  if (typeof value === "object" && "$erased" in value) return <em>{t`erased for good`}</em>;
  if (typeof value === "object" && "$sealed" in value) return <em>{t`kept secret`}</em>;
  if (typeof value !== "string") return <span className="mono">{JSON.stringify(value)}</span>;
  if (ID.test(value) && kindOf(value)) return <RecordName id={value} />;
  return <>{MOMENT.test(value) ? formatDateTime(Date.parse(value), i18n.locale) : value}</>;
}
