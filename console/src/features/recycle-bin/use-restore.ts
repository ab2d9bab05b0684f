import { useLingui } from "@lingui/react/macro";
import { plural } from "@lingui/core/macro";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { COLLECTIONS } from "~/api/collections";
import { type ApiError, asApiError } from "~/lib/problem";
import { toast } from "~/ui/toasts";
import type { Binned } from "./kinds";

interface Row {
  id: string;
  name: string;
  revision: number;
}

export interface Refused {
  row: Row;
  error: ApiError;
}

/** Brings records back one by one: what is refused does not hold up the others. */
export function useRestore(kind: Binned) {
  const { t } = useLingui();
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (rows: readonly Row[]) => {
      const refused: Refused[] = [];
      for (const row of rows) {
        await COLLECTIONS[kind].restore(row).catch((error: unknown) => refused.push({ row, error: asApiError(error) }));
      }
      return { restored: rows.length - refused.length, refused };
    },
    onSuccess: async ({ restored }) => {
      if (restored > 0) toast(t`${plural(restored, { one: "# record is back", other: "# records are back" })}`);
      await queries.invalidateQueries({ queryKey: COLLECTIONS[kind].key });
    },
  });
}
