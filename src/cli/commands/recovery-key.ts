import { type Command } from 'commander'
import { exportPrivateKey, generateKeyPair, publicJwk } from '../../pki/key-pair.ts'
import { toPem } from '../../pki/pem.ts'
import { type Cli } from '../cli.ts'
import { intoSecretFile } from '../secret-file.ts'

/** `recovery-key`: a key, kept outside the service, that can sign our bundle when nothing else proves it any more. */
export function registerRecoveryKey(program: Command, cli: Cli): void {
  program
    .command('recovery-key')
    .description('a key outside the service that can sign our bundle when peers lost trust in it')
    .command('create')
    .description('make one in a new file, readable by its owner only, and print its public half')
    .requiredOption('--out <file>', 'the file to write; keep it offline')
    .action(({ out }: { readonly out: string }) => create(cli, out))
}

async function create(cli: Cli, out: string): Promise<void> {
  const { publicKey } = await intoSecretFile(
    out,
    async () => generateKeyPair('ES256'),
    ({ privateKey }) => toPem(exportPrivateKey(privateKey), 'PRIVATE KEY').trimEnd(),
  )
  cli.printText(`${JSON.stringify(publicJwk(publicKey))}\n`)
}
