/**
 * One text for one value: members sorted by code unit, no white space, as RFC 8785 has it.
 *
 * Bigints become decimal strings, moments RFC 3339 UTC; members that are undefined are left out. Throws
 * TypeError for whatever has no such form (NaN, functions, maps, and bytes: key material must never get here).
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string' || typeof value === 'boolean') return JSON.stringify(value)
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value)
  if (typeof value === 'bigint') return `"${value}"`
  if (value === null) return 'null'
  return typeof value === 'object' ? canonicalObject(value) : refuse(value)
}

function canonicalObject(value: object): string {
  if (value instanceof Date) return JSON.stringify(value.toISOString())
  if (Array.isArray(value)) {
    return `[${value.map((item: unknown) => canonicalJson(item)).join(',')}]`
  }
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return refuse(value)
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
  return `{${members.join(',')}}`
}

function refuse(value: unknown): never {
  throw new TypeError(`${Object.prototype.toString.call(value)} has no canonical JSON form`)
}
