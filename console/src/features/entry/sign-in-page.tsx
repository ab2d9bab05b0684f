import { Trans, useLingui } from "@lingui/react/macro";
import { Button, PasswordInput, Stack, Text, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { sessionQuery, setupQuery, signIn } from "~/api/session";
import { asApiError } from "~/lib/problem";
import { TextLink } from "~/ui/links";
import { ErrorCard } from "~/ui/states";
import { EntryFrame } from "./entry-frame";
import { LinkNeeded } from "./setup-page";

export default function SignInPage() {
  const { t } = useLingui();
  const { next, tenant } = useSearch({ from: "/sign-in" });
  const queries = useQueryClient();
  const router = useRouter();
  const setup = useQuery(setupQuery);
  const form = useForm({ initialValues: { email: "", password: "" } });
  const submission = useMutation({
    mutationFn: signIn,
    onSuccess: async (session) => {
      queries.clear();
      queries.setQueryData(sessionQuery.queryKey, session);
      // Only paths of this console: an address from elsewhere must not be followed.
      if (next?.startsWith("/") && !next.startsWith("//")) router.history.replace(`/console${next}`);
      else await router.navigate({ to: "/$tenant", params: { tenant: session.tenant.slug }, replace: true });
    },
  });
  if (setup.data?.open) return <LinkNeeded />;
  const error = submission.error ? asApiError(submission.error) : null;
  const wrong = error?.code === "invalid_credentials";
  return (
    <EntryFrame title={t`Sign in`} {...(tenant ? { lead: t`To continue to ${tenant}` } : {})}>
      <form onSubmit={form.onSubmit((values) => submission.mutate({ ...values, ...(tenant ? { tenant } : {}) }))}>
        <Stack gap="sm">
          <TextInput label={t`E-mail`} type="email" autoComplete="username" required autoFocus {...form.getInputProps("email")} />
          <PasswordInput
            label={t`Password`}
            autoComplete="current-password"
            required
            visibilityToggleButtonProps={{ "aria-label": t`Show or hide the password` }}
            {...form.getInputProps("password")}
          />
          {wrong && (
            <Text role="alert" size="sm" c="var(--mantine-color-error)">
              <Trans>E-mail and password do not belong together.</Trans>
            </Text>
          )}
          {error && !wrong && <ErrorCard error={error} compact />}
          <Button type="submit" fullWidth loading={submission.isPending}>
            <Trans>Sign in</Trans>
          </Button>
          <Text size="sm" c="dimmed">
            <Trans>
              New here, or forgot the password? <TextLink to="/sign-in/code" inherit td="underline">I have a code</TextLink>. Whoever runs this installation makes one for you.
            </Trans>
          </Text>
        </Stack>
      </form>
    </EntryFrame>
  );
}
