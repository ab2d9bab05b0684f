import { Trans } from "@lingui/react/macro";
import { Button } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import { Trash2 } from "lucide-react";
import { type ReactNode, useState } from "react";
import { asApiError } from "~/lib/problem";
import { ConfirmDelete, type Remove } from "./confirm-delete";
import { Page } from "./page";
import { Failure, LoadingBlock } from "./states";

interface LoadedProps<T> {
  query: UseQueryResult<T>;
  permission: string;
  /** The page's title while there is no record. */
  title: string;
  children(data: T): ReactNode;
}

/** A page of one record: loading, failure, no permission, or the record. */
export function Loaded<T>({ query, permission, title, children }: LoadedProps<T>) {
  const { data, error, refetch } = query;
  if (data !== undefined) return children(data);
  return (
    <Page title={title}>{error ? <Failure error={asApiError(error)} permission={permission} onRetry={() => void refetch()} /> : <LoadingBlock height={260} />}</Page>
  );
}

interface DeleteButtonProps {
  name: string;
  consequence: string;
  remove: Remove;
  onDone(): void;
}

export function DeleteButton(props: DeleteButtonProps) {
  const [opened, setOpened] = useState(false);
  return (
    <>
      <Button variant="default" color="red" leftSection={<Trash2 size={15} />} onClick={() => setOpened(true)}>
        <Trans>Delete</Trans>
      </Button>
      <ConfirmDelete opened={opened} onClose={() => setOpened(false)} {...props} />
    </>
  );
}
