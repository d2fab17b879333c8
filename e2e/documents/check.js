// Reads an AsyncAPI document from the standard input by AsyncAPI's own parser, and says what it found.
"use strict";

const { Parser } = require("@asyncapi/parser");
const { AvroSchemaParser } = require("@asyncapi/avro-schema-parser");
const { ProtoBuffSchemaParser } = require("@asyncapi/protobuf-schema-parser");
const Ajv = require("ajv/dist/2020");

// The parser knows draft-07 itself; AsyncAPI names 2020-12 and leaves it to plugins.
const jsonSchema = {
  getMimeTypes: () => ["application/schema+json;version=2020-12"],
  validate: ({ data }) => {
    const ajv = new Ajv({ strict: false });
    return ajv.validateSchema(data) ? [] : ajv.errors.map((error) => ({ message: error.message, path: [] }));
  },
  parse: ({ data }) => data,
};

async function main() {
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const parser = new Parser();
  for (const plugin of [AvroSchemaParser(), ProtoBuffSchemaParser(), jsonSchema]) parser.registerSchemaParser(plugin);
  const { document, diagnostics } = await parser.parse(Buffer.concat(chunks).toString());
  const wrong = diagnostics.filter(({ severity }) => severity === 0);
  for (const { message, path } of wrong) console.log(`${path.join("/")}: ${message}`);
  if (!document || wrong.length > 0) process.exit(1);
  const channels = document.channels().all();
  const messages = document.operations().all().flatMap((operation) => operation.messages().all());
  const described = messages.filter((message) => message.hasPayload()).length;
  console.log(`AsyncAPI ${document.version()}: ${channels.length} channels, ${messages.length} messages, ${described} with a schema`);
}

main().catch((error) => {
  console.log(error);
  process.exit(1);
});
