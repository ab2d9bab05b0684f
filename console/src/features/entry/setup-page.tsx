import { Trans, useLingui } from "@lingui/react/macro";
import { Button, PasswordInput, Stack, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useLocation, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { sessionQuery, setUp, setupQuery } from "~/api/session";
import { toSlug } from "~/lib/format";
import { asApiError } from "~/lib/problem";
import { CodeLine } from "~/ui/copy";
import { TextLink } from "~/ui/links";
import { ErrorCard, LoadingBlock } from "~/ui/states";
import { EntryFrame } from "./entry-frame";
import { LEAST_PASSWORD } from "./password";

/** The one-time link's page: makes the first owner and the first tenant. The token travels in the fragment, which no server or proxy logs. */
export default function SetupPage() {
  const { t } = useLingui();
  const hash = useLocation({ select: (location) => location.hash });
  const setup = useQuery(setupQuery);
  if (setup.isPending) {
    return (
      <EntryFrame title={t`Set up Steward`}>
        <LoadingBlock />
      </EntryFrame>
    );
  }
  if (setup.error) {
    return (
      <EntryFrame title={t`Set up Steward`}>
        <ErrorCard error={asApiError(setup.error)} onRetry={() => void setup.refetch()} />
      </EntryFrame>
    );
  }
  if (!setup.data.open) return <AlreadySetUp />;
  return hash ? <SetupForm token={hash} /> : <LinkNeeded />;
}

function AlreadySetUp() {
  const { t } = useLingui();
  return (
    <EntryFrame title={t`Steward is set up`} lead={t`The set-up link has done its work and cannot be used again.`}>
      <TextLink to="/sign-in" className="target">
        <Trans>Go to sign-in</Trans>
      </TextLink>
    </EntryFrame>
  );
}

export function LinkNeeded() {
  const { t } = useLingui();
  return (
    <EntryFrame
      title={t`This server is new`}
      lead={t`The first owner is made through a one-time link, so that nobody else can take the server over. It was printed where the server was started; this prints a fresh one, valid for an hour:`}
    >
      <CodeLine value="steward setup-link --data ./steward-data" label={t`Command`} />
    </EntryFrame>
  );
}

function SetupForm({ token }: { token: string }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [ownSlug, setOwnSlug] = useState(false);
  const required = (value: string) => (value.trim() === "" ? t`This is needed.` : null);
  const form = useForm({
    initialValues: { email: "", name: "", password: "", tenant_name: "", tenant_slug: "" },
    validateInputOnBlur: true,
    validate: {
      email: (value) => (/^\S+@\S+$/.test(value) ? null : t`This is not an e-mail address.`),
      name: required,
      password: (value) => (value.length >= LEAST_PASSWORD ? null : t`At least ${LEAST_PASSWORD} characters.`),
      tenant_name: required,
      tenant_slug: (value) => (/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])$/.test(value) ? null : t`Two to forty lowercase letters, digits and hyphens.`),
    },
  });
  const submission = useMutation({
    mutationFn: setUp,
    onSuccess: async (session) => {
      queries.setQueryData(sessionQuery.queryKey, session);
      await navigate({ to: "/$tenant", params: { tenant: session.tenant.slug }, replace: true });
    },
    onError: (cause) => {
      for (const f of asApiError(cause).fields) form.setFieldError(f.pointer.replace(/^\//, ""), f.detail);
    },
  });
  return (
    <EntryFrame title={t`Set up Steward`} lead={t`You become the owner of the first tenant. Everything can be changed later.`}>
      <form onSubmit={form.onSubmit((values) => submission.mutate({ ...values, token }))} noValidate>
        <Stack gap="sm">
          <TextInput label={t`E-mail`} type="email" autoComplete="username" required {...form.getInputProps("email")} />
          <TextInput label={t`Your name`} autoComplete="name" required {...form.getInputProps("name")} />
          <PasswordInput
            label={t`Password`}
            description={t`A long phrase is best. There is no default and nobody can read it back.`}
            autoComplete="new-password"
            required
            visibilityToggleButtonProps={{ "aria-label": t`Show or hide the password` }}
            {...form.getInputProps("password")}
          />
          <TextInput
            label={t`Tenant name`}
            description={t`Your company or team.`}
            autoComplete="organization"
            required
            {...form.getInputProps("tenant_name")}
            onChange={(event) => {
              const name = event.currentTarget.value;
              form.setFieldValue("tenant_name", name);
              if (!ownSlug) form.setFieldValue("tenant_slug", toSlug(name));
            }}
          />
          <TextInput
            label={t`Tenant address`}
            description={t`As it stands in links: /console/${form.values.tenant_slug || "acme"}`}
            autoComplete="off"
            spellCheck={false}
            required
            {...form.getInputProps("tenant_slug")}
            onChange={(event) => {
              setOwnSlug(true);
              form.setFieldValue("tenant_slug", event.currentTarget.value);
            }}
          />
          {submission.error && <ErrorCard error={asApiError(submission.error)} compact />}
          <Button type="submit" fullWidth loading={submission.isPending}>
            <Trans>Create owner and tenant</Trans>
          </Button>
        </Stack>
      </form>
    </EntryFrame>
  );
}
