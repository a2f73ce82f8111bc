import { quoted, ServiceError } from '../../errors.ts'
import { illegal } from './rules.ts'
import type { Locality } from './topology.ts'

/** Most characters of a region, zone or subzone; those of providers stay below 64. */
export const MAX_LOCALITY = 100

// What region names of providers and zone labels of Kubernetes are made of.
const PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$/

/** Refuses a locality with a zone outside a region, a subzone outside a zone, or odd characters (INVALID_REQUEST). */
export function checkLocality(locality: Locality): void {
  const { region, zone, subzone } = locality
  if (zone !== undefined && region === undefined) {
    const found = `zone ${quoted(zone)} is given without region`
    throw illegal('zone-in-region', found, { pointer: '/locality/zone' })
  }
  if (subzone !== undefined && zone === undefined) {
    const found = `subzone ${quoted(subzone)} is given without zone`
    throw illegal('subzone-in-zone', found, { pointer: '/locality/subzone' })
  }
  for (const [name, part] of Object.entries(locality)) checkPart(name, part)
}

function checkPart(name: string, part: string | undefined): void {
  if (part === undefined || PART.test(part)) return
  const detail = `must be 1 to ${MAX_LOCALITY} of letters, digits, ".", "_" and "-", beginning and ending with a letter or digit`
  throw new ServiceError('INVALID_REQUEST', `${name} ${quoted(part)} ${detail}`, {
    fields: [{ in: 'body', pointer: `/locality/${name}`, detail }],
  })
}

/** The locality in a row's columns. */
export function localityOf(row: {
  readonly region: string | null
  readonly zone: string | null
  readonly subzone?: string | null
}): Locality {
  return {
    ...(row.region === null ? {} : { region: row.region }),
    ...(row.zone === null ? {} : { zone: row.zone }),
    ...(typeof row.subzone === 'string' ? { subzone: row.subzone } : {}),
  }
}

/** The columns of a locality. */
export function localityColumns({ region, zone, subzone }: Locality) {
  return { region: region ?? null, zone: zone ?? null, subzone: subzone ?? null }
}

/** A locality in words: `eu-west/a/rack-1`, or `nowhere known`. */
export function localityTitle({ region, zone, subzone }: Locality): string {
  const parts = [region, zone, subzone].filter((part) => part !== undefined)
  return parts.length === 0 ? 'nowhere known' : parts.join('/')
}
