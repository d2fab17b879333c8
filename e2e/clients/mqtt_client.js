// A client of MQTT 5 by MQTT.js, with a session that outlives its connection.
//
//   mqtt_client.js subscribe SESSION FILTER   subscribes with QoS 1 and goes; messages wait in the session
//   mqtt_client.js publish TOPIC              stdin: [{payload, properties, qos}]   stdout: [reason code, …]
//   mqtt_client.js receive SESSION COUNT      stdout: [{topic, payload, properties, qos}]; then the session ends
//
// BINDING is the directory of a Client's Secret, or of files like its: host, virtual-host, username, password, ca.crt.
// CONNECT_TO is the address to connect to, where there is no cluster DNS; MQTT_PORT the port.
'use strict';
const fs = require('fs');
const path = require('path');
const mqtt = require('mqtt');

const LIMIT_MS = 30000;
const SESSION_SECONDS = 300;

let ending = false;

const [, , verb, ...words] = process.argv;
const field = (name) => fs.readFileSync(path.join(process.env.BINDING, name), 'utf8');

function fail(text) {
  console.error(`mqtt: ${text}`);
  process.exit(1);
}

function connect(clientId, sessionSeconds, onMessage) {
  const client = mqtt.connect({
    protocol: 'mqtts',
    protocolVersion: 5,
    host: process.env.CONNECT_TO,
    port: Number(process.env.MQTT_PORT),
    servername: field('host'),
    ca: [field('ca.crt')],
    // MQTT has no field for a virtual host: it stands before the user's name.
    username: `${field('virtual-host')}:${field('username')}`,
    password: field('password'),
    clientId,
    // A session of this name goes on.
    clean: false,
    properties: { sessionExpiryInterval: sessionSeconds },
    reconnectPeriod: 0,
    connectTimeout: LIMIT_MS,
  });
  // The broker sends what waited in the session at once.
  if (onMessage) client.on('message', onMessage);
  client.on('close', () => { if (!ending) fail('the broker closed the connection without a word'); });
  client.on('disconnect', (packet) => fail(`the broker ended the connection, reason ${packet.reasonCode}`));
  client.on('error', (error) => fail(`${error.message} (reason ${error.code})`));
  return new Promise((resolve) => client.on('connect', () => resolve(client)));
}

async function finish(client, result) {
  ending = true;
  await client.endAsync();
  fs.writeSync(1, JSON.stringify(result));
  process.exit(0);
}

const verbs = {
  async subscribe(session, filter) {
    const client = await connect(session, SESSION_SECONDS);
    const granted = await client.subscribeAsync(filter, { qos: 1 });
    await finish(client, granted.map(({ qos }) => qos));
  },
  async publish(topic) {
    const client = await connect('entente-publisher', 0);
    const codes = [];
    for (const { payload, properties, qos } of JSON.parse(fs.readFileSync(0, 'utf8'))) {
      const answer = await client.publishAsync(topic, payload, { qos, properties });
      codes.push(answer && answer.reasonCode ? answer.reasonCode : 0);
    }
    await finish(client, codes);
  },
  async receive(session, count) {
    const got = [];
    let done;
    const all = new Promise((resolve) => { done = resolve; });
    const client = await connect(session, 0, (topic, payload, packet) => {
      const properties = { ...packet.properties };
      got.push({ topic, payload: payload.toString(), properties, qos: packet.qos });
      if (got.length === Number(count)) done();
    });
    await all;
    await finish(client, got);
  },
};

setTimeout(() => fail(`${verb} ${words.join(' ')}: not done after ${LIMIT_MS} ms`), LIMIT_MS).unref();
process.on('unhandledRejection', (error) => fail(error.message));
if (!verbs[verb]) fail('usage: subscribe SESSION FILTER | publish TOPIC | receive SESSION COUNT');
verbs[verb](...words);
