import { Trans, useLingui } from "@lingui/react/macro";
import { Button, Group, Popover, SimpleGrid, Stack, TextInput } from "@mantine/core";
import { CalendarClock, ChevronDown } from "lucide-react";
import { useState } from "react";
import { formatDateTime, toLocalInput } from "~/lib/format";
import { formatDuration, parseDuration, PRESETS, resolveRange, type TimeRange } from "~/lib/time-range";
import { useNow } from "./clock";

function useRangeLabel() {
  const { t, i18n } = useLingui();
  return (range: TimeRange) => {
    if (range.kind === "relative") {
      const length = formatDuration(range.seconds);
      return t`Last ${length}`;
    }
    return `${formatDateTime(range.from, i18n.locale)} – ${formatDateTime(range.to, i18n.locale)}`;
  };
}

/** Relative presets and an absolute span, in the viewer's time zone. */
export function TimeRangePicker({ value, onChange }: { value: TimeRange; onChange(range: TimeRange): void }) {
  const { t } = useLingui();
  const label = useRangeLabel();
  const now = useNow();
  const [opened, setOpened] = useState(false);
  const [custom, setCustom] = useState<{ from: string; to: string } | null>(null);
  const span = resolveRange(value, now);
  const fields = custom ?? { from: toLocalInput(span.from), to: toLocalInput(span.to) };
  const from = Date.parse(fields.from);
  const to = Date.parse(fields.to);
  const valid = Number.isFinite(from) && Number.isFinite(to) && from < to;
  const choose = (range: TimeRange) => {
    setOpened(false);
    setCustom(null);
    onChange(range);
  };
  return (
    <Popover opened={opened} onChange={setOpened} position="bottom-end" shadow="md" trapFocus width={320}>
      <Popover.Target>
        <Button
          variant="default"
          leftSection={<CalendarClock size={15} aria-hidden />}
          rightSection={<ChevronDown size={14} aria-hidden />}
          onClick={() => setOpened((o) => !o)}
          aria-label={t`Time range: ${label(value)}`}
        >
          <span className="num">{label(value)}</span>
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label={t`Time range`}>
        <Stack gap="sm">
          <SimpleGrid cols={3} spacing={6}>
            {PRESETS.map((preset) => {
              const seconds = parseDuration(preset) ?? 3600;
              const active = value.kind === "relative" && value.seconds === seconds;
              return (
                <Button key={preset} size="xs" variant={active ? "filled" : "default"} onClick={() => choose({ kind: "relative", seconds })} aria-pressed={active}>
                  {preset}
                </Button>
              );
            })}
          </SimpleGrid>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              if (valid) choose({ kind: "absolute", from, to });
            }}
          >
            <Stack gap="xs">
              <TextInput type="datetime-local" step={1} size="xs" label={t`From`} value={fields.from} onChange={(e) => setCustom({ ...fields, from: e.currentTarget.value })} />
              <TextInput
                type="datetime-local"
                step={1}
                size="xs"
                label={t`To`}
                value={fields.to}
                error={custom && !valid ? t`The end must be after the start.` : undefined}
                onChange={(e) => setCustom({ ...fields, to: e.currentTarget.value })}
              />
              <Group justify="flex-end">
                <Button type="submit" size="xs" disabled={!valid}>
                  <Trans>Apply</Trans>
                </Button>
              </Group>
            </Stack>
          </form>
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}
