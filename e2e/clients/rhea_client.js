// A client of AMQP 1.0 by rhea: sends the messages of stdin, or receives as many as it is told to.
//
//   rhea_client.js send ADDRESS            stdin: [{id, properties, application, body}]   stdout: ["accepted", …]
//   rhea_client.js receive ADDRESS COUNT   stdout: [{id, body}]; each message is accepted
//
// BINDING is the directory of a Client's Secret. CONNECT_TO is the address to connect to, where there is no cluster DNS.
// A value is of the type that is written, {"ulong": 5}; a plain one is of the type that rhea gives it.
'use strict';
const fs = require('fs');
const path = require('path');
const container = require('rhea');

const { types } = container;
const LIMIT_MS = 30000;
const CREDIT = 200;

const [, , verb, address, count] = process.argv;
const field = (name) => fs.readFileSync(path.join(process.env.BINDING, name), 'utf8');

function fail(text) {
  console.error(`rhea: ${text}`);
  process.exit(1);
}

function integer(bits, signed, value) {
  if (bits < 64) return value;
  const buffer = Buffer.alloc(8);
  if (signed) buffer.writeBigInt64BE(BigInt(value));
  else buffer.writeBigUInt64BE(BigInt(value));
  return buffer;
}

const wrappers = {
  boolean: types.wrap_boolean,
  ubyte: types.wrap_ubyte,
  ushort: types.wrap_ushort,
  uint: types.wrap_uint,
  ulong: (value) => types.wrap_ulong(integer(64, false, value)),
  byte: types.wrap_byte,
  short: types.wrap_short,
  int: types.wrap_int,
  long: (value) => types.wrap_long(integer(64, true, value)),
  float: (value) => types.wrap_float(Number(value)),
  double: (value) => types.wrap_double(Number(value)),
  char: (value) => types.wrap_char(value.codePointAt(0)),
  timestamp: types.wrap_timestamp,
  uuid: (value) => types.wrap_uuid(Buffer.from(value.replace(/-/g, ''), 'hex')),
  binary: (value) => types.wrap_binary(Buffer.from(value, 'hex')),
  string: types.wrap_string,
  symbol: types.wrap_symbol,
};

function typed(value) {
  if (value === null || typeof value !== 'object') return value;
  const [[kind, plain]] = Object.entries(value);
  if (!wrappers[kind]) fail(`there is no type ${kind}`);
  return wrappers[kind](plain);
}

function mapped(values) {
  return Object.fromEntries(Object.entries(values || {}).map(([name, value]) => [name, typed(value)]));
}

/// Of the properties section rhea knows the types itself: it takes plain values.
function plain(values) {
  return Object.fromEntries(
    Object.entries(values || {}).map(([name, value]) => [name, value !== null && typeof value === 'object' ? Object.values(value)[0] : value]));
}

function send(connection) {
  const messages = JSON.parse(fs.readFileSync(0, 'utf8'));
  const outcomes = new Array(messages.length).fill(null);
  const places = new Map();
  let next = 0;
  let settled = 0;
  const sender = connection.open_sender({ target: { address } });
  sender.on('sendable', () => {
    while (next < messages.length && sender.sendable()) {
      const { id, properties, application, body } = messages[next];
      const message = { message_id: id, ...plain(properties), body };
      if (application) message.application_properties = mapped(application);
      places.set(sender.send(message).id, next++);
    }
  });
  for (const outcome of ['accepted', 'released', 'rejected', 'modified']) {
    sender.on(outcome, ({ delivery }) => { outcomes[places.get(delivery.id)] = outcome; });
  }
  sender.on('settled', () => {
    settled += 1;
    if (settled === messages.length) finish(connection, outcomes);
  });
}

function receive(connection) {
  const wanted = Number(count);
  const got = [];
  // Credit is given by hand: no message may be on its way that is not counted.
  const receiver = connection.open_receiver({ source: { address }, credit_window: 0, autoaccept: false });
  receiver.add_credit(Math.min(wanted, CREDIT));
  let given = Math.min(wanted, CREDIT);
  receiver.on('message', ({ message, delivery }) => {
    got.push({ id: message.message_id, body: message.body });
    delivery.accept();
    if (given < wanted) {
      receiver.add_credit(1);
      given += 1;
    }
    // The link is closed in order behind the last settlement.
    if (got.length === wanted) receiver.close();
  });
  receiver.on('receiver_close', () => finish(connection, got));
}

function finish(connection, result) {
  connection.on('connection_close', () => {
    fs.writeSync(1, JSON.stringify(result));
    process.exit(0);
  });
  connection.close();
}

if (!['send', 'receive'].includes(verb) || !address) fail('usage: send ADDRESS | receive ADDRESS COUNT');
setTimeout(() => fail(`${verb} ${address}: not done after ${LIMIT_MS} ms`), LIMIT_MS).unref();
for (const event of ['connection_error', 'session_error', 'sender_error', 'receiver_error', 'disconnected', 'error']) {
  container.on(event, (context) => {
    const told = [context, context.sender, context.receiver, context.session, context.connection];
    const { error } = told.find((source) => source && source.error) || { error: context };
    fail(`${event}: ${error.condition || ''} ${error.description || error.message || error}`);
  });
}
const connection = container.connect({
  transport: 'tls',
  host: process.env.CONNECT_TO,
  port: Number(field('port')),
  servername: field('host'),
  ca: [field('ca.crt')],
  username: field('username'),
  password: field('password'),
  hostname: field('hostname'),
  reconnect: false,
});
connection.on('connection_open', () => (verb === 'send' ? send(connection) : receive(connection)));
