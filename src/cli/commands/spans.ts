import { InvalidArgumentError } from 'commander'
import { systemClock } from '../../clock.ts'

/** Seconds as people say them, in the largest unit that fits twice. */
export function span(seconds: number): string {
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}

/** How far away a moment is; of one that has passed how long it is ago, or `past` where only that matters. */
export function until(moment: string, past?: string): string {
  const seconds = Math.round((Date.parse(moment) - systemClock.now().getTime()) / 1000)
  return seconds > 0 ? `in ${span(seconds)}` : (past ?? `${span(-seconds)} ago`)
}

/** A moment as an option takes it: a date, which means its beginning in UTC, or an RFC 3339 time. */
export function readMoment(text: string): string {
  const full = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text
  const isTime = /^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:\d\d)$/.test(full)
  if (isTime && !Number.isNaN(Date.parse(full))) return full
  throw new InvalidArgumentError(
    'wanted a date such as 2027-01-31 or a time such as 2027-01-31T09:00:00Z',
  )
}
