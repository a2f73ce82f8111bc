import { type Command } from 'commander'
import { systemClock } from '../../clock.ts'
import { splitPem, toPem } from '../../pki/certificate.ts'
import { createCsr } from '../../pki/csr.ts'
import { type JoinToken, parseJoinToken } from '../../pki/join-token.ts'
import {
  exportPrivateKey,
  generateKeyPair,
  type KeyPair,
  publicKeySha256,
  spkiOf,
} from '../../pki/key-pair.ts'
import { verifyX509Svid } from '../../pki/verify-chain.ts'
import { parseBundle } from '../../spiffe/bundle.ts'
import { type TrustDomain } from '../../spiffe/trust-domain.ts'
import { command, messageOf } from '../../errors.ts'
import { type JwtAnswerView, type X509AnswerView } from '../../svid/api.ts'
import { type Cli } from '../cli.ts'
import { CliFailure, usageFailure } from '../failure.ts'
import { readSvidFolder, type SvidFolder, writeSvidFolder } from '../svid-folder.ts'
import { type Anchors, anchorsByKey, callWorkloadListener } from '../workload-client.ts'
import { collect } from './service-words.ts'

interface FetchOptions {
  readonly out: string
  readonly address?: string
  readonly tokenFile?: string
  readonly renew?: boolean
  readonly jwt?: boolean
  readonly audience: readonly string[]
}

/** `svid`: what a workload asks of the workload listener. */
export function registerSvid(program: Command, cli: Cli): void {
  program
    .command('svid')
    .description('SVIDs, on the machine of a workload')
    .command('fetch')
    .description('make a key, have an SVID issued for it, and write both into a folder')
    .requiredOption('--out <folder>', 'where svid.pem, key.pem, bundle.pem and bundles/ are')
    .option('--token-file <file>', 'file with a join token, or - for stdin')
    .option('--renew', 'show the SVID in the folder instead of a join token')
    .option('--jwt', 'print a JWT-SVID for the identity in the folder')
    .option('--audience <audience>', 'whom the JWT-SVID is for', collect, [])
    .option('--address <host:port>', 'the workload listener; default the one that the token names')
    .addHelpText(
      'after',
      `
The server must prove that it is spiffe://TRUST-DOMAIN/entente/workload-endpoint before anything is sent.

Examples:
  entente svid fetch --token-file join.token --out svid
  entente svid fetch --renew --out svid
  entente svid fetch --jwt --audience spiffe://globex.example/pay --out svid`,
    )
    .action((options: FetchOptions) => fetchSvid(cli, options))
}

async function fetchSvid(cli: Cli, options: FetchOptions): Promise<void> {
  const { tokenFile, renew, jwt, audience } = options
  const ways = [tokenFile !== undefined, renew === true, jwt === true].filter(Boolean).length
  if (ways !== 1) {
    throw usageFailure('give one of --token-file, --renew and --jwt', 'entente svid fetch --help')
  }
  if ((jwt === true) !== audience.length > 0) {
    throw usageFailure('--jwt and --audience belong together', 'add --audience SPIFFE-ID')
  }
  if (tokenFile !== undefined) return join(cli, options, tokenFile)
  const folder = await readSvidFolder(options.out)
  return jwt === true ? fetchJwt(cli, options, folder) : renewSvid(cli, options, folder)
}

async function join(cli: Cli, options: FetchOptions, tokenFile: string): Promise<void> {
  const text = Buffer.from(await cli.readInput(tokenFile))
    .toString('utf8')
    .trim()
  const token = readToken(text, tokenFile)
  const { trustDomain, rootSha256 } = token
  const address = options.address ?? token.address
  const anchors = anchorsByKey(rootSha256)
  await requestSvid(cli, { address, trustDomain, anchors, out: options.out, token: text })
}

async function renewSvid(cli: Cli, options: FetchOptions, folder: SvidFolder): Promise<void> {
  await requestSvid(cli, {
    address: options.address ?? folder.state.address,
    trustDomain: folder.state.trustDomain,
    anchors: anchorsOf(folder),
    out: options.out,
    identity: { cert: folder.cert, key: folder.key },
  })
}

async function fetchJwt(cli: Cli, options: FetchOptions, folder: SvidFolder): Promise<void> {
  const { text } = await callWorkloadListener({
    address: options.address ?? folder.state.address,
    trustDomain: folder.state.trustDomain,
    anchors: anchorsOf(folder),
    identity: { cert: folder.cert, key: folder.key },
    path: '/v1/svids/jwt',
    body: { audience: options.audience },
    now: systemClock.now(),
  })
  const answer = JSON.parse(text) as JwtAnswerView
  if (cli.output === 'table') cli.printText(answer.token)
  else cli.print(answer)
}

interface SvidRequest {
  readonly address: string
  readonly trustDomain: TrustDomain
  readonly anchors: Anchors
  readonly out: string
  readonly token?: string
  readonly identity?: { readonly cert: string; readonly key: string }
}

async function requestSvid(cli: Cli, wanted: SvidRequest): Promise<void> {
  const { address, trustDomain, anchors, out, token, identity } = wanted
  const keys = generateKeyPair()
  const now = systemClock.now()
  const csr = toPem(createCsr(keys), 'CERTIFICATE REQUEST')
  const { text } = await callWorkloadListener({
    address,
    trustDomain,
    anchors,
    path: '/v1/svids/x509',
    body: { csr, ...(token === undefined ? {} : { token }) },
    now,
    ...(identity === undefined ? {} : { identity }),
  })
  const answer = JSON.parse(text) as X509AnswerView
  checkAnswer(answer, { keys, trustDomain, now })
  const key = toPem(exportPrivateKey(keys.privateKey), 'PRIVATE KEY')
  await writeSvidFolder(out, { address, trustDomain, key, answer })
  report(cli, out, answer)
}

/** The SVID must be for our key and hold under the bundle that came with it: else it would help nobody. */
function checkAnswer(
  answer: X509AnswerView,
  { keys, trustDomain, now }: { keys: KeyPair; trustDomain: TrustDomain; now: Date },
): void {
  try {
    const { bundle } = parseBundle(trustDomain, Buffer.from(answer.bundle.document))
    const anchors = bundle.x509Authorities.map(({ certificate }) => certificate)
    const anchorsOfDomain = (td: TrustDomain) => (td === trustDomain ? anchors : undefined)
    const chain = splitPem(answer.certificateChain)
    const { leaf } = verifyX509Svid(chain, { anchorsOf: anchorsOfDomain, now })
    const ours = Buffer.from(publicKeySha256(spkiOf(keys.publicKey)))
    if (!ours.equals(publicKeySha256(leaf.spki))) throw new CliFailure('it is for another key')
  } catch (cause) {
    throw new CliFailure(`the SVID in the answer cannot be used: ${messageOf(cause)}`, { cause })
  }
}

function report(cli: Cli, folder: string, answer: X509AnswerView): void {
  const { spiffeId, serial, expiresAt, renewAt, bundle, federatedBundles } = answer
  for (const { trustDomain, reason } of answer.missingBundles) {
    cli.warn(`no bundle of ${trustDomain}: ${reason}`)
  }
  const bundles = [bundle, ...federatedBundles].map(({ trustDomain }) => trustDomain)
  const next = [command`entente svid fetch --renew --out ${folder}`]
  cli.print({ spiffeId, serial, expiresAt, renewAt, folder, bundles, next })
}

function anchorsOf({ bundle }: SvidFolder): Anchors {
  return () => bundle.x509Authorities.map(({ certificate }) => certificate)
}

function readToken(text: string, file: string): JoinToken {
  try {
    return parseJoinToken(text)
  } catch (cause) {
    throw usageFailure(`${file}: ${messageOf(cause)}`, 'entente join-token create --id /PATH')
  }
}
