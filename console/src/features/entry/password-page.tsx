import { Trans, useLingui } from "@lingui/react/macro";
import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { sessionQuery, setPassword } from "~/api/session";
import { asApiError } from "~/lib/problem";
import { ButtonLink, TextLink } from "~/ui/links";
import { ErrorCard } from "~/ui/states";
import { EntryFrame } from "./entry-frame";
import { LEAST_PASSWORD } from "./password";

/** Where a person sets a password with a code. A link carries the code in its fragment, which no server or proxy logs. */
export default function PasswordPage() {
  const { t } = useLingui();
  const hash = useLocation({ select: (location) => location.hash });
  const queries = useQueryClient();
  const form = useForm({
    initialValues: { code: hash, password: "" },
    validateInputOnBlur: true,
    validate: {
      code: (value) => (value.trim() ? null : t`This is needed.`),
      password: (value) => (value.length >= LEAST_PASSWORD ? null : t`At least ${LEAST_PASSWORD} characters.`),
    },
  });
  const submission = useMutation({
    mutationFn: setPassword,
    onSuccess: () => queries.removeQueries(sessionQuery),
    onError: (cause) => {
      for (const f of asApiError(cause).fields) form.setFieldError(f.pointer.replace(/^\//, ""), f.detail);
    },
  });
  if (submission.isSuccess) {
    return (
      <EntryFrame title={t`Your password is set`} lead={t`The code is used up. You are signed out everywhere else.`}>
        <ButtonLink to="/sign-in" fullWidth>
          <Trans>Sign in</Trans>
        </ButtonLink>
      </EntryFrame>
    );
  }
  return (
    <EntryFrame title={t`Set your password`} lead={t`With the code that you were given. It is good once and for a day; whoever runs this installation makes a fresh one.`}>
      <form onSubmit={form.onSubmit(({ code, password }) => submission.mutate({ code: code.trim(), password }))} noValidate>
        <Stack gap="sm">
          <TextInput label={t`Code`} autoComplete="one-time-code" spellCheck={false} required autoFocus={!hash} classNames={{ input: "mono" }} {...form.getInputProps("code")} />
          <PasswordInput
            label={t`New password`}
            description={t`A long phrase is best. There is no default and nobody can read it back.`}
            autoComplete="new-password"
            required
            autoFocus={Boolean(hash)}
            visibilityToggleButtonProps={{ "aria-label": t`Show or hide the password` }}
            {...form.getInputProps("password")}
          />
          {submission.error && <ErrorCard error={asApiError(submission.error)} compact />}
          <Button type="submit" fullWidth loading={submission.isPending}>
            <Trans>Set password</Trans>
          </Button>
          <TextLink to="/sign-in" className="target" size="sm">
            <Trans>Back to sign-in</Trans>
          </TextLink>
        </Stack>
      </form>
    </EntryFrame>
  );
}
