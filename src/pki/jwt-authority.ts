import { type KeyObject } from 'node:crypto'
import { type JwtAuthority } from '../spiffe/bundle.ts'
import { type KeyType } from './algorithms.ts'
import { importPublicJwk, keyTypeOf, spkiOf } from './key-pair.ts'

/** The key of a JWT authority, ready to verify with. */
export interface ImportedKey {
  readonly key: KeyObject
  readonly type: KeyType
}

const imports = new WeakMap<JwtAuthority, ImportedKey | null>()

/** The key of an authority, imported once for as long as its bundle is held; null when it is no usable key. */
export function importJwtAuthority(authority: JwtAuthority): ImportedKey | null {
  const known = imports.get(authority)
  if (known !== undefined) return known
  const found = importKey(authority)
  imports.set(authority, found)
  return found
}

function importKey({ jwk }: JwtAuthority): ImportedKey | null {
  try {
    const key = importPublicJwk(jwk)
    return { key, type: keyTypeOf(spkiOf(key)) }
  } catch {
    return null
  }
}
