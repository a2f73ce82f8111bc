import { quoted, ServiceError } from '../../errors.ts'
import type { Locality } from './topology.ts'

/** Most characters of a region, zone or subzone; providers stay below 64. */
export const MAX_LOCALITY = 100

// What region names of providers and zone labels of Kubernetes are made of.
const PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?$/

/**
 * Refuses a locality that names a part without the part around it (INVALID_REQUEST): a zone lies in a region, a
 * subzone in a zone.
 */
export function checkLocality(locality: Locality): void {
  const { region, zone, subzone } = locality
  if (zone !== undefined && region === undefined) {
    throw refusal(
      'zone',
      `zone ${quoted(zone)} without region: a zone lies in a region, so name both`,
    )
  }
  if (subzone !== undefined && zone === undefined) {
    const text = `subzone ${quoted(subzone)} without zone: a subzone lies in a zone, so name both`
    throw refusal('subzone', text)
  }
  for (const [name, part] of Object.entries({ region, zone, subzone })) {
    if (part === undefined || PART.test(part)) continue
    throw refusal(
      name,
      `${name} ${quoted(part)} must be 1 to ${MAX_LOCALITY} of letters, digits, ".", "_" and "-", beginning and ending with a letter or digit`,
    )
  }
}

function refusal(name: string, message: string): ServiceError {
  return new ServiceError('INVALID_REQUEST', message, {
    fields: [{ in: 'body', pointer: `/locality/${name}`, detail: message }],
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
