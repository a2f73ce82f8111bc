import { createHash, randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, quoted } from '../errors.ts'
import { toPem } from '../pki/certificate.ts'
import { type Bundle, parseBundle } from '../spiffe/bundle.ts'
import { parseTrustDomain, type TrustDomain } from '../spiffe/trust-domain.ts'
import { type X509AnswerView } from '../svid/api.ts'
import { CliFailure, usageFailure } from './failure.ts'

/** The names that a folder shows; all of them lead into one generation, which changes as a whole. */
const NAMES = ['svid.pem', 'key.pem', 'bundle.pem', 'bundles', 'svid.json'] as const
const CURRENT = '.current'
const GENERATION = '.generation-'

/** What `svid.json` remembers beside the files, so that a renewal needs no options. */
export interface SvidState {
  readonly spiffeId: string
  readonly trustDomain: TrustDomain
  readonly address: string
  readonly expiresAt: string
  readonly renewAt: string
}

/** A folder with an SVID, as it was read. */
export interface SvidFolder {
  readonly state: SvidState
  /** PEM. */
  readonly cert: string
  readonly key: string
  /** Our own trust domain's bundle. */
  readonly bundle: Bundle
}

/** What is to be written. */
export interface NewSvid {
  readonly address: string
  readonly trustDomain: TrustDomain
  /** PKCS#8 PEM. */
  readonly key: string
  readonly answer: X509AnswerView
}

/**
 * Writes SVID, key (0600) and bundles into a folder, whole or not at all: a new generation is written beside the
 * old one and shown by renaming one link (`.current`), so that certificate and key change in one step.
 *
 * The generation before stays until the next one, for those who are just reading it.
 */
export async function writeSvidFolder(folder: string, svid: NewSvid): Promise<void> {
  const generation = `${GENERATION}${randomUUID()}`
  const before = await generationOf(folder)
  const path = join(folder, generation)
  await mkdir(join(path, 'bundles'), { recursive: true, mode: 0o700 })
  try {
    for (const [name, text] of filesOf(svid)) await writePrivate(join(path, name), text)
    await link(generation, join(folder, CURRENT))
    for (const name of NAMES) await link(join(CURRENT, name), join(folder, name))
  } catch (cause) {
    await rm(path, { recursive: true, force: true })
    throw new CliFailure(`cannot write the SVID into ${quoted(folder)}: ${messageOf(cause)}`, {
      cause,
      next: ['name an empty folder with --out'],
    })
  }
  await dropOldGenerations(folder, [generation, before])
}

/** Reads a folder that {@link writeSvidFolder} wrote; throws a failure that says what is missing. */
export async function readSvidFolder(folder: string): Promise<SvidFolder> {
  try {
    // One generation is read, whatever happens to the link meanwhile.
    const path = join(folder, await readlink(join(folder, CURRENT)))
    const state = JSON.parse(await readFile(join(path, 'svid.json'), 'utf8')) as SvidState
    const trustDomain = parseTrustDomain(state.trustDomain)
    const cert = await readFile(join(path, 'svid.pem'), 'utf8')
    const key = await readFile(join(path, 'key.pem'), 'utf8')
    const document = await readFile(join(path, 'bundles', bundleFile(trustDomain)))
    return { state, cert, key, bundle: parseBundle(trustDomain, document).bundle }
  } catch (cause) {
    throw usageFailure(
      `there is no SVID to go on with in ${quoted(folder)}: ${messageOf(cause)}`,
      'entente svid fetch --token-file FILE --out DIR   # fetches one',
    )
  }
}

/** File of a trust domain's bundle; a name too long for a file is replaced by its hash. */
export function bundleFile(trustDomain: string): string {
  if (trustDomain.length <= 200) return `${trustDomain}.json`
  return `${createHash('sha256').update(trustDomain).digest('hex')}.json`
}

function filesOf({ address, trustDomain, key, answer }: NewSvid): [string, string][] {
  const { bundle: own, federatedBundles, spiffeId, expiresAt, renewAt } = answer
  const state: SvidState = { spiffeId, trustDomain, address, expiresAt, renewAt }
  const { bundle } = parseBundle(trustDomain, Buffer.from(own.document))
  const anchors = bundle.x509Authorities.map(({ certificate }) => toPem(certificate))
  const documents = [own, ...federatedBundles].map((one): [string, string] => [
    join('bundles', bundleFile(one.trustDomain)),
    one.document,
  ])
  return [
    ['svid.pem', answer.certificateChain],
    ['key.pem', key],
    ['bundle.pem', anchors.join('')],
    ['svid.json', `${JSON.stringify(state, undefined, 2)}\n`],
    ...documents,
  ]
}

async function writePrivate(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Makes a link appear under its name in one step, also over an older one. */
async function link(target: string, path: string): Promise<void> {
  const draft = `${path}.${randomUUID()}`
  await symlink(target, draft)
  try {
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** The generation that the folder shows, or undefined while it shows none. */
async function generationOf(folder: string): Promise<string | undefined> {
  try {
    return await readlink(join(folder, CURRENT))
  } catch {
    return undefined
  }
}

async function dropOldGenerations(
  folder: string,
  kept: readonly (string | undefined)[],
): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(GENERATION) || kept.includes(name)) continue
    await rm(join(folder, name), { recursive: true, force: true })
  }
}
