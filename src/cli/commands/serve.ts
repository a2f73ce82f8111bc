import { type Command } from 'commander'
import { usageFailure } from '../failure.ts'

/** The commands that work on the service itself, not through its API; `src/main.ts` runs them. */
export function registerServiceCommands(program: Command): void {
  program
    .command('serve')
    .description('run the service until it is told to stop (SIGTERM)')
    .option('--config <file>', 'YAML file with settings; the environment wins over it')
    .option('--port-offset <number>', 'added to every default port, for a second service')
    .action(refuse)
  program
    .command('migrate')
    .description('bring the database to the schema of this version')
    .option('--config <file>', 'YAML file with settings; the environment wins over it')
    .action(refuse)
  registerSecrets(program)
}

function registerSecrets(program: Command): void {
  program
    .command('kek')
    .description('the key that seals all private keys in the database')
    .command('create')
    .description('make a key-encryption key in a new file, readable by its owner only')
    .requiredOption('--out <file>', 'the file to write; it must not exist')
    .action(refuse)
  const adminToken = program
    .command('admin-token')
    .description('the first API token of the service')
  adminToken
    .command('create')
    .description('make a token in a new file, for ENTENTE_ADMIN_TOKEN_FILE of a new service')
    .requiredOption('--out <file>', 'the file to write; it must not exist')
    .action(refuse)
  adminToken
    .command('reset')
    .description('make a new admin token in the database; the old one ends')
    .option('--config <file>', 'YAML file with settings; the environment wins over it')
    .action(refuse)
}

function refuse(): never {
  throw usageFailure('this command runs the service itself', 'call it through bin/entente')
}
