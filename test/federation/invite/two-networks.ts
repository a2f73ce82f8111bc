import { join } from 'node:path'
import { type Test } from 'tap'
import { layCable, type Namespace } from '../../support/namespaces.ts'
import { type Organisation, organisation, shortFolder } from './organisation.ts'

/** Two organisations, each in a network of its own with private addresses, and a file for the invite between them. */
export interface TwoNetworks {
  readonly acme: Organisation
  readonly globex: Organisation
  readonly file: string
}

/** Starts both; skips the test, and answers undefined, where network namespaces cannot be made. */
export async function twoNetworks(t: Test): Promise<TwoNetworks | undefined> {
  const cable = layCable(t)
  if ('missing' in cable) {
    t.pass('skipped', { skip: `no network namespaces here: ${cable.missing}` })
    return undefined
  }
  const folder = shortFolder(t)
  const place = (mesh: string, namespace: Namespace): Promise<Organisation> =>
    organisation(t, {
      mesh,
      folder: join(folder, mesh),
      namespace,
      environment: { ENTENTE_PUBLIC_URL: `https://${namespace.address}:8443` },
    })
  const acme = await place('acme', cable.ends[0])
  const globex = await place('globex', cable.ends[1])
  return { acme, globex, file: join(folder, 'invite') }
}
