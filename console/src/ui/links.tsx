import { ActionIcon, type ActionIconProps, Anchor, type AnchorProps, Button, type ButtonProps, NavLink, type NavLinkProps } from "@mantine/core";
import { createLink } from "@tanstack/react-router";
import { forwardRef } from "react";

/** Mantine's parts as typed router links. */
export const TextLink = createLink(forwardRef<HTMLAnchorElement, Omit<AnchorProps, "href">>((props, ref) => <Anchor ref={ref} {...props} />));

export const ButtonLink = createLink(
  forwardRef<HTMLAnchorElement, Omit<ButtonProps, "href">>((props, ref) => <Button ref={ref} component="a" {...props} />),
);

export const IconLink = createLink(
  forwardRef<HTMLAnchorElement, Omit<ActionIconProps, "href">>((props, ref) => <ActionIcon ref={ref} component="a" {...props} />),
);

export const NavItem = createLink(
  forwardRef<HTMLAnchorElement, Omit<NavLinkProps, "href">>((props, ref) => <NavLink ref={ref} component="a" {...props} />),
);

/** A stored address is followed only when it is one of the web. */
export function WebLink({ url }: { url: string }) {
  if (!/^https?:\/\//i.test(url)) return <span className="mono">{url}</span>;
  return (
    <Anchor href={url} target="_blank" rel="noreferrer" inherit>
      {url}
    </Anchor>
  );
}
