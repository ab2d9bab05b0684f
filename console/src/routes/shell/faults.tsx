import { Trans, useLingui } from "@lingui/react/macro";
import { useRouter } from "@tanstack/react-router";
import { Compass } from "lucide-react";
import { asApiError } from "~/lib/problem";
import { ButtonLink } from "~/ui/links";
import { Page } from "~/ui/page";
import { EmptyState, Failure } from "~/ui/states";

/** 404 for addresses that no route knows. */
export function NotFound() {
  const { t } = useLingui();
  return (
    <Page title={t`Page not found`}>
      <EmptyState
        icon={<Compass size={26} />}
        title={t`No page at this address`}
        action={
          <ButtonLink to="/" variant="default">
            <Trans>Go to the start</Trans>
          </ButtonLink>
        }
      >
        <Trans>The link may be mistyped or older than this version of the console.</Trans>
      </EmptyState>
    </Page>
  );
}

/** A page that could not be shown at all. */
export function RouteFault({ error, reset }: { error: unknown; reset(): void }) {
  const { t } = useLingui();
  const router = useRouter();
  const retry = () => {
    reset();
    void router.invalidate();
  };
  return (
    <Page title={t`This page could not be shown`}>
      <Failure error={asApiError(error)} onRetry={retry} />
    </Page>
  );
}

/** The same outside the shell, where there is no main landmark yet. */
export function RootNotFound() {
  return (
    <main>
      <NotFound />
    </main>
  );
}

export function RootFault(props: { error: unknown; reset(): void }) {
  return (
    <main>
      <RouteFault {...props} />
    </main>
  );
}
