import { useLingui } from "@lingui/react/macro";
import { asApiError } from "~/lib/problem";
import { Confirm } from "./confirm";
import { toast } from "./toasts";

interface ConfirmDeleteProps {
  opened: boolean;
  onClose(): void;
  /** The record's name, which has to be typed. */
  name: string;
  /** What happens to what belongs to it. */
  consequence: string;
  remove: Remove;
  onDone(): void;
}

/** Deletes, and answers the way back if there is one. */
export type Remove = () => Promise<(() => Promise<void>) | undefined>;

/** Deletion by typed name. */
export function ConfirmDelete({ opened, onClose, name, consequence, remove, onDone }: ConfirmDeleteProps) {
  const { t } = useLingui();
  const restore = async (undo: () => Promise<void>) => {
    try {
      await undo();
      toast(t`${name} is back`);
    } catch (error) {
      toast(t`${name} could not be brought back: ${asApiError(error).message}`, { failed: true });
    }
  };
  return (
    <Confirm
      opened={opened}
      onClose={onClose}
      title={t`Delete ${name}?`}
      consequence={consequence}
      submitLabel={t`Delete`}
      typed={name}
      run={remove}
      onDone={(undo) => {
        toast(t`${name} was deleted`, undo && { action: { label: t`Undo`, run: () => void restore(undo) } });
        onDone();
      }}
    />
  );
}
