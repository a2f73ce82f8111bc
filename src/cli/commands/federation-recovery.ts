import { type Command } from 'commander'
import { type Cli } from '../cli.ts'
import { usageFailure } from '../failure.ts'

/** Ways to renew a peer's bundle, as they were typed and in their order. */
export interface RecoveryOptions {
  readonly recovery?: readonly string[]
}

const FORMS = [
  'endpoint,https_web,URL',
  'endpoint,https_spiffe,URL,SPIFFE-ID',
  'key,FILE',
  'key,FILE,URL',
]

/** Adds `--recovery`, which may be given several times; the order counts. */
export function withRecoveryOptions(command: Command): Command {
  return command.option(
    '--recovery <path>',
    `used only once its endpoint can no longer be authenticated, in the order given: ${FORMS.join(' | ')}`,
    (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
  )
}

/** The recovery paths for a request's body; reads the public keys that are named. */
export async function recoveryOf(
  cli: Cli,
  { recovery }: RecoveryOptions,
): Promise<object[] | undefined> {
  if (recovery === undefined) return undefined
  const paths: object[] = []
  for (const text of recovery) paths.push(await pathOf(cli, text))
  return paths
}

async function pathOf(cli: Cli, text: string): Promise<object> {
  const [kind, ...rest] = text.split(',')
  if (kind === 'key' && rest.length >= 1) {
    const [file = '', ...url] = rest
    const endpointUrl = url.length === 0 ? undefined : url.join(',')
    return { kind: 'signed-bundle', publicKey: await publicKeyIn(cli, file), endpointUrl }
  }
  const [source, endpointUrl, endpointSpiffeId] = rest
  if (kind === 'endpoint' && endpointUrl !== undefined && rest.length <= 3) {
    return { kind: 'endpoint', source, endpointUrl, endpointSpiffeId }
  }
  throw usageFailure(`"${text}" is no recovery path`, `write one of: ${FORMS.join(' | ')}`)
}

async function publicKeyIn(cli: Cli, file: string): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await cli.readInput(file)))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    throw usageFailure(
      `${file} holds no public key as JWK`,
      'the peer prints it with: entente recovery-key create --out FILE',
    )
  }
}
