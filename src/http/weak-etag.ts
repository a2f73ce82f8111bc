import { createHash } from 'node:crypto'

/** A weak entity tag over what matters of an answer; equal members in equal order give equal tags (RFC 9110 §8.8.1). */
export function weakEtagOf(content: object): string {
  const digest = createHash('sha256').update(JSON.stringify(content)).digest('hex')
  return `W/"${digest.slice(0, 32)}"`
}

/** Whether `If-None-Match` names this tag, by weak comparison (RFC 9110 §13.1.2). */
export function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim())
  return tags.some((tag) => tag === '*' || opaque(tag) === opaque(etag))
}

function opaque(tag: string): string {
  return tag.replace(/^W\//, '')
}
