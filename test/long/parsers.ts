import { randomInt } from 'node:crypto'
import t from 'tap'
import { PARSER_PROPERTIES } from '../support/bundle-properties.ts'
import { seeded } from '../support/seeded.ts'

t.setTimeout(1_500_000)

const DOCUMENTS = 100_000
const properties = Object.entries(PARSER_PROPERTIES)
const each = Math.ceil(DOCUMENTS / properties.length)

for (const [title, property] of properties) {
  t.test(`${title}: ${each} documents`, async (t) => seeded(t, property, each, randomInt(2 ** 31)))
}
