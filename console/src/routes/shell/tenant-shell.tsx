import { Trans, useLingui } from "@lingui/react/macro";
import { AppShell, Burger, Skeleton } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Outlet, useLocation, useNavigate, useParams } from "@tanstack/react-router";
import { Building2 } from "lucide-react";
import { useEffect } from "react";
import { followEvents } from "~/api/live";
import { type Session, sessionQuery } from "~/api/session";
import { ButtonLink } from "~/ui/links";
import { Mark } from "~/ui/mark";
import { Page } from "~/ui/page";
import { EmptyState } from "~/ui/states";
import { Navigation } from "./navigation";
import { OrganizationSwitch } from "./organization-switch";
import { PaletteButton } from "./palette-button";
import { PersonMenu } from "./person-menu";
import classes from "./shell.module.css";

/** The frame of every signed-in page. The tenant in the URL must be the session's. */
export default function TenantShell() {
  const { data: session, isPending } = useQuery(sessionQuery);
  const { tenant } = useParams({ from: "/$tenant" });
  const navigate = useNavigate();
  const location = useLocation();
  const signedOut = !isPending && session === null;
  useEffect(() => {
    if (signedOut) void navigate({ to: "/sign-in", search: { next: location.href, tenant }, replace: true });
  }, [signedOut, navigate, location.href, tenant]);
  if (!session) return <Skeleton height="100dvh" />;
  return <Frame key={session.tenant.id} session={session} wrongTenant={session.tenant.slug !== tenant ? tenant : null} />;
}

function Frame({ session, wrongTenant }: { session: Session; wrongTenant: string | null }) {
  const { t } = useLingui();
  const queries = useQueryClient();
  const [opened, { toggle, close }] = useDisclosure(false);
  const path = useLocation({ select: (l) => l.pathname });
  useEffect(() => followEvents(queries, session.tenant.id), [queries, session.tenant.id]);
  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 216, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding={0}
      classNames={{ header: classes.header ?? "", navbar: classes.navbar ?? "" }}
      transitionDuration={120}
    >
      <a href="#content" className={classes.skip}>
        <Trans>Skip to content</Trans>
      </a>
      <AppShell.Header>
        <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label={opened ? t`Close menu` : t`Open menu`} />
        <div className={classes.brand}>
          <Mark size={22} />
          <span className={classes.tenant}>{session.tenant.name}</span>
        </div>
        <OrganizationSwitch />
        <div className={classes.spacer} />
        <PaletteButton tenant={session.tenant.slug} />
        <PersonMenu session={session} />
      </AppShell.Header>
      <AppShell.Navbar>
        <Navigation path={path} onNavigate={close} tenant={session.tenant.slug} />
      </AppShell.Navbar>
      <AppShell.Main id="content" tabIndex={-1} className={classes.main ?? ""}>
        {wrongTenant ? <WrongTenant session={session} wanted={wrongTenant} /> : <Outlet />}
      </AppShell.Main>
    </AppShell>
  );
}

function WrongTenant({ session, wanted }: { session: Session; wanted: string }) {
  const { t } = useLingui();
  const { href } = useLocation();
  const member = session.tenants.some((x) => x.slug === wanted);
  return (
    <Page title={t`Another tenant`}>
      <EmptyState
        icon={<Building2 size={26} />}
        title={t`You are signed in to ${session.tenant.name}`}
        action={
          member ? (
            <ButtonLink to="/sign-in" search={{ next: href, tenant: wanted }}>
              <Trans>Sign in to {wanted}</Trans>
            </ButtonLink>
          ) : (
            <ButtonLink to="/$tenant" params={{ tenant: session.tenant.slug }} variant="default">
              <Trans>Go to {session.tenant.name}</Trans>
            </ButtonLink>
          )
        }
      >
        {member ? <Trans>This link belongs to {wanted}. Each tenant has a session of its own.</Trans> : <Trans>This link belongs to {wanted}, of which you are not a member.</Trans>}
      </EmptyState>
    </Page>
  );
}
